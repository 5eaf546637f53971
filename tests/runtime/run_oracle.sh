#!/bin/sh
# run_oracle.sh SCRIPT ARGUMENT...: runs a Python judge with the pinned wheels, or says why it cannot (exit 77 = skipped).
refuse() {
  echo "SKIPPED: $1 (run scripts/setup --tests)"
  [ "$FRUGAL_REQUIRE_RUNTIMES" = 1 ] && { echo "FRUGAL_REQUIRE_RUNTIMES=1: a skip is a failure"; exit 1; }
  exit 77
}
python="$FRUGAL_ORACLE_PYTHON"
[ -x "$python" ] || refuse "no Python at '$python'"
needed=$(sed -n 's/^# needs: //p' "$1")
for module in $needed; do
  "$python" -c "import $module" 2>/dev/null || refuse "the Python module '$module' is not installed"
done
exec "$python" "$@"
