package sessionmap_test

import _ "golang.org/x/exp/stats"
