package debugpage

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The secrets of the process. Keys are told apart as the map does it, by maphash, and not by their text, which their
// type may abbreviate; what hides them is the HMAC of that.
var (
	seed   = maphash.MakeSeed()
	secret = newSecret()
)

func newSecret() []byte {
	b := make([]byte, sha256.Size)
	_, _ = rand.Read(b) // never fails
	return b
}

// redact returns 16 hexadecimal digits that stand for a key.
func redact(key any) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%T ", key) // maphash takes an int for the int64 of its value
	mac.Write(binary.LittleEndian.AppendUint64(nil, maphash.Comparable(seed, key)))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// maxKey is how many bytes of a key are shown.
const maxKey = 200

// readable returns a key as text of one line, quoted where it has characters that do not show or change how others
// do. A pointer without a String method is its address: what it points to may be in use.
func readable(key any) string {
	var s string
	switch key.(type) {
	case fmt.Stringer, error:
		s = fmt.Sprint(key)
	default:
		format := "%v"
		if v := reflect.ValueOf(key); v.IsValid() && v.Kind() == reflect.Pointer {
			format = "%p"
		}
		s = fmt.Sprintf(format, key)
	}
	cut := len(s) > maxKey
	if cut {
		s = strings.ToValidUTF8(s[:maxKey], "")
	}
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		s = strconv.Quote(s)
	}
	if cut {
		s += "…"
	}
	return s
}
