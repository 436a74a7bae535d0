#!/bin/sh
# Runs the quick tests on every other supported Python at the same time, and reports which ran.
# Usage: test_other_pythons.sh PYTHON
set -eu

default=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
mkdir -p build

# A name on the PATH may be a stub of a version manager, so each candidate is tried.
find_python() {
    for candidate in "python$1" "$HOME/.pyenv/versions/$1"*/bin/python; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# One kind of server is enough: Pythons and servers do not differ in the same things.
run_tests() {
    venv="build/venv-$1"
    if [ ! -e "$venv/.made" ] || [ pyproject.toml -nt "$venv/.made" ]; then
        "$2" -m venv --clear "$venv" || return 1
        "$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable '.[dev]' || return 1
        touch "$venv/.made"
    fi
    "$venv/bin/python" -m pytest -n 2 -q -m "not slow and not chaos" -k "not redis62 and not redis70" -p no:cacheprovider
}

others=""
for version in 3.11 3.12 3.13; do
    [ "$version" = "$default" ] && continue
    python=$(find_python "$version")
    if [ -n "$python" ]; then
        echo "Quick tests on Python $version, output in build/test-$version.log"
        { run_tests "$version" "$python" && echo passed || echo FAILED; } >"build/test-$version.log" 2>&1 &
    else
        echo missing >"build/test-$version.log"
    fi
    others="$others $version"
done
wait

code=0
summary="Python $default: all tests passed"
for version in $others; do
    result=$(tail -n 1 "build/test-$version.log")
    case $result in
        passed) outcome="quick tests passed" ;;
        missing) outcome="not found on this machine, not tested" ;;
        *) outcome="FAILED"; code=1; tail -n 40 "build/test-$version.log" ;;
    esac
    summary="$summary
Python $version: $outcome"
done
echo
echo "$summary"
exit $code
