# Sourced by script/test and script/test-pythons: a step with its output in a log. $logs is their folder.
# shellcheck shell=bash

# stage NAME COMMAND...: runs it, with its exit status; shows how it went and how long it took.
stage() {
  local name=$1 start=$SECONDS status=0
  shift
  printf '%-20s' "$name"
  # shellcheck disable=SC2154
  "$@" >"$logs/$name.log" 2>&1 || status=$?
  if ((status == 0)); then
    printf 'ok      %4d s\n' $((SECONDS - start))
  else
    printf 'FAILED  %4d s   %s\n' $((SECONDS - start)) "$logs/$name.log"
  fi
  return $status
}

# note NAME STATUS TEXT: puts a case into a report of its own, for what no test could say. STATUS is "fail" or
# "notrun" (skipped); TEXT is why.
note() {
  local text=$3 verdict
  text=${text//&/&amp;}
  text=${text//</&lt;}
  text=${text//\"/&quot;}
  verdict=failure
  if [[ $2 == notrun ]]; then
    verdict=skipped
    printf '%-20sskipped: %s\n' "$1" "$3"
  fi
  printf '<testsuite><testcase name="%s" status="%s"><%s message="%s"/></testcase></testsuite>\n' \
    "$1" "$2" "$verdict" "$text" >"$logs/$1.xml"
}
