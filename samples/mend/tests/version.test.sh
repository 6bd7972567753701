. ./src/version.sh

version_part 1.22.333 2
check "a part in the middle" 22 "$part"
version_part 1.22 4
check "a missing part is 0" 0 "$part"

version_compare 1.2.3 1.2.3
check "equal versions" 0 "$order"
version_compare 1.2.3 1.2.4
check "the last part decides" -1 "$order"
version_compare 2.0 1.9.9
check "the first part decides" 1 "$order"
version_compare 1.2 1.2.0
check "missing parts count as 0" 0 "$order"
version_compare 1.10.0 1.9.7
check "parts are numbers, not text" 1 "$order"
