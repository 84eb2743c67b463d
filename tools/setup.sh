# Sourced by ./demo and ./check, with $root set: brings .venv up to a lock file.
# POSIX sh; needs Python 3.11 or newer, and nothing else that bare Debian lacks.

venv=$root/.venv
done_list=$venv/set-up # one line per lock file that is wholly installed
NEEDS_SOMETHING=78     # EX_CONFIG: only the user can put it right

say() { printf '%s\n' "$*" >&2; }

set_up() { # LOCK...: the first is installed, the others are known to lie within it
    is_done "$1" && return
    trap 'say "Stopped. The next run starts the set-up again."; exit 130' INT TERM
    find_python
    command -v uv >/dev/null 2>&1 || ensure_venv
    was_made_here || make_venv
    rm -f "$done_list"
    say "Installing the packages of $1 (a minute or two, once) ..."
    install --require-hashes --only-binary :all: -r "$root/$1"
    install --no-deps --no-build-isolation -e "$root"
    say "Compiling the fold (about a minute, once) ..."
    "$venv/bin/python" -m engine.warm
    for lock in "$@"; do fingerprint "$lock"; done >"$done_list.new"
    mv "$done_list.new" "$done_list"
    trap - INT TERM
}

is_done() { # LOCK
    [ -x "$venv/bin/python" ] && [ -f "$done_list" ] &&
        fingerprint "$1" | grep -qxF -f - "$done_list"
}

was_made_here() { # whole, by a Python of today's version, and not moved since
    [ -x "$venv/bin/python" ] && [ -f "$done_list" ] &&
        fingerprint | grep -qF -f - "$done_list"
}

fingerprint() { # [LOCK]: Python version, place, and what the lock file and the project ask for
    "$venv/bin/python" - "$root" "$@" <<'END'
import hashlib, pathlib, sys
root, *lock = sys.argv[1:]
asked = [pathlib.Path(root, name).read_bytes() for name in (*lock, "pyproject.toml")]
digest = [hashlib.sha256(b"".join(asked)).hexdigest()] if lock else []
print(*sys.version_info[:2], sys.prefix, *lock, *digest)
END
}

find_python() {
    for python in python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return
        fi
    done
    say "No Python 3.11 or newer found. Install one and run this again; on Debian or Ubuntu:"
    say "    sudo apt-get install -y python3 python3-venv"
    exit "$NEEDS_SOMETHING"
}

ensure_venv() { # Debian and Ubuntu ship Python without the part that makes environments
    has_venv && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "Python's venv is missing: installing Debian's package $python-venv ..."
        apt_get update
        apt_get install -y --no-install-recommends "$python-venv"
    fi
    has_venv && return
    say "Python's venv is missing. Install it and run this again; on Debian or Ubuntu:"
    say "    sudo apt-get install -y $python-venv"
    exit "$NEEDS_SOMETHING"
}

has_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

apt_get() { # says nothing unless it fails
    said=$(DEBIAN_FRONTEND=noninteractive apt-get -q "$@" 2>&1) || say "$said"
}

make_venv() {
    [ ! -e "$venv" ] || say "Making .venv anew: it is unfinished, moved, or of another Python."
    rm -rf "$venv"
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --python "$(command -v "$python")" "$venv"
    else
        "$python" -m venv "$venv"
    fi
}

install() {
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python "$venv/bin/python" "$@"
    else
        "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@"
    fi
}
