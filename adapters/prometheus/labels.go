package sessionmapprom

import (
	"fmt"
	"strings"

	"github.com/sessionmap/sessionmap"
)

// labels are those given to the maps of one scrape, or to the attributes of one group.
type labels map[string]bool

// take returns a label that is valid, not empty, and no other's: name, where that will do, else with the number.
func (l labels) take(name string, number uint64) string {
	label := strings.ToValidUTF8(name, "\uFFFD")
	for label == "" || l[label] {
		label = fmt.Sprintf("%s#%d", label, number)
	}
	l[label] = true
	return label
}

type labelledCause struct {
	sessionmap.Cause
	label string
}

// causes are all that the library knows, this version's or a later one's.
var causes = func() (all []labelledCause) {
	for c := sessionmap.Replaced; known(c); c++ {
		all = append(all, labelledCause{c, strings.ReplaceAll(c.String(), " ", "_")})
	}
	return all
}()

// known reports whether c has a name.
func known(c sessionmap.Cause) bool { return c.String() != fmt.Sprintf("Cause(%d)", c) }
