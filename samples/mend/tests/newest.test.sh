. ./src/version.sh

version_newest 0.3.0
check "of one version, that one" 0.3.0 "$newest"
version_newest 1.2.0 1.4.0 1.3.9
check "the newest stands anywhere" 1.4.0 "$newest"
version_newest 1.4.2 1.10.0 1.9.7
check "two digits are more than one" 1.10.0 "$newest"
