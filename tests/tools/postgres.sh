#!/usr/bin/env bash
# A PostgreSQL server of the tests' own, in a folder that goes with it: `postgres.sh start FOLDER` prints its address,
# `postgres.sh stop FOLDER` ends it. It listens on a socket in the folder and, where PORT is set, on loopback.
set -euo pipefail

what="$1" folder="$2"
programs="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)"
[[ -n $programs ]] || { echo "postgres.sh: no PostgreSQL here: apt-get install postgresql" >&2; exit 1; }

# It refuses to run as root.
as_server() {
  if [[ $(id -u) == 0 ]]; then
    setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
  else
    "$@"
  fi
}

case "$what" in
  start)
    mkdir -p "$folder"
    [[ $(id -u) != 0 ]] || chown postgres "$folder"
    if [[ ! -e $folder/data/PG_VERSION ]]; then
      as_server "$programs/initdb" -A trust -U palisade -E UTF8 --locale=C.UTF-8 -D "$folder/data" >/dev/null
      # Nothing of it outlives the tests: it need not survive a power cut. Tests of that set FSYNC=on.
      printf '%s\n' "fsync = ${FSYNC:-off}" "max_connections = 400" "unix_socket_directories = '$folder'" \
        "listen_addresses = '${PORT:+127.0.0.1}'" "port = ${PORT:-5432}" "log_min_messages = warning" \
        "max_wal_size = 256MB" "shared_buffers = 64MB" | as_server tee -a "$folder/data/postgresql.conf" >/dev/null
    fi
    as_server "$programs/pg_ctl" start -w -D "$folder/data" -l "$folder/log" >/dev/null
    echo "postgres://palisade@localhost:${PORT:-5432}/postgres?host=$folder"
    ;;
  stop)
    as_server "$programs/pg_ctl" stop -w -m "${MODE:-fast}" -D "$folder/data" >/dev/null
    ;;
  *)
    echo "postgres.sh: use start FOLDER or stop FOLDER" >&2
    exit 2
    ;;
esac
