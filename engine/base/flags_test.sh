#!/bin/sh
# Exit status: 0 for --help, 2 for wrong usage.
program=$1
"$program" --help > out 2>&1; [ $? = 0 ] || { echo "--help is no error"; exit 1; }
grep -q -- --max_tokens out || { echo "--help does not list the flags"; exit 1; }
"$program" --no_such_flag > /dev/null 2>&1; [ $? = 2 ] || { echo "an unknown flag is wrong usage"; exit 1; }
"$program" --max_tokens=many > /dev/null 2>&1; [ $? = 2 ] || { echo "a bad value is wrong usage"; exit 1; }
"$program" word > /dev/null 2>&1; [ $? = 2 ] || { echo "a stray argument is wrong usage"; exit 1; }
"$program" > /dev/null 2>&1; [ $? = 2 ] || { echo "a missing --model is wrong usage"; exit 1; }
