"""What is wrong in a namespace: rules over a snapshot, each giving a finding. Reads nothing itself."""
