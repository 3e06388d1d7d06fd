package publish

import (
	"strings"
	"testing"

	"mailwhy/engine/mail"
)

// hostile are addresses that some list or command would read as something else,
// or that nobody expects.
func hostile() []string {
	return []string{
		"a\nb@vendor.example", "a\x00b@vendor.example", "a b@vendor.example", "a\tb@vendor.example", `"a b"@vendor.example`, `"a"@vendor.example`,
		"a'b@vendor.example", "a`id`@vendor.example", "$(id)@vendor.example", "${run{/bin/id}}@vendor.example", "a;id@vendor.example", "a|b@vendor.example",
		"a&b@vendor.example", "a>b@vendor.example", "a<b@vendor.example", "*@vendor.example", ".*@vendor.example", "^a@vendor.example", "a?@vendor.example",
		"[a]@vendor.example", "a\\@vendor.example", ":include:/etc/passwd@vendor.example", ":include:@vendor.example", "-f@vendor.example", "--help@vendor.example",
		"#a@vendor.example", "!a@vendor.example", "/a/@vendor.example", "a:b@vendor.example", "a,b@vendor.example", "a@b@vendor.example", "@vendor.example", "a@", "a",
		"<>", "", "jürgen@vendor.example", "a@münchen.example", "a@xn--mnchen-3ya.example", "a@vendor.example\n*@other.example", "a@ven dor.example", "a@-vendor.example",
		"a@vendor..example", "a@vendor.example.", "a@[192.0.2.1]", "a@vendor", "a..b@vendor.example", ".a@vendor.example", "a.@vendor.example", "A@VENDOR.EXAMPLE",
		strings.Repeat("a", 1000) + "@vendor.example", "a@" + strings.Repeat("a", 64) + ".example", "a+b@vendor.example", "srs0=ab=cd=other.example=x@vendor.example",
		"o'brien@vendor.example", "a%b@vendor.example", "a{b}@vendor.example", "a~b@vendor.example", "a=b@vendor.example", "a\u202eb@vendor.example", "a\u200bb@vendor.example",
		"a@\xa7\xa7\xa7vendor.vendor..", "aN@\xae\u0289\x91\x87\xd0vYd.dQre..",
		"root@vendor.example DUNNO", "a@vendor.example OK", "a@vendor.example\tOK", "a@vendor.example\r\nb OK", "# mailwhy end@vendor.example",
	}
}

// harmless says what every address that is written must be.
func harmless(t *testing.T, address, written string) {
	t.Helper()
	if strings.ContainsFunc(written, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\<>,;:()[]`, r) }) {
		t.Errorf("%q is written as %q", address, written)
	}
	if strings.Count(written, "@") != 1 || strings.ContainsRune("-#!.", rune(written[0])) || len(written) > longestAddress {
		t.Errorf("%q is written as %q", address, written)
	}
	if string(mail.Path(address).Fold()) != written {
		t.Errorf("%q is written as %q, which is another address", address, written)
	}
}

func TestHostileAddresses(t *testing.T) {
	taken := 0
	for _, address := range hostile() {
		if written, err := exactAddress(address, ""); err == nil {
			taken++
			harmless(t, address, written)
		} else if len(err.Error()) > 200 || !strings.Contains(err.Error(), " ") {
			t.Errorf("%q is refused with %q, which is no short sentence", address, err)
		}
	}
	if taken < 10 {
		t.Errorf("only %d were taken: plain ones are among them", taken)
	}
}

func FuzzExactAddress(f *testing.F) {
	for _, address := range hostile() {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if written, err := exactAddress(address, ""); err == nil {
			harmless(t, address, written)
		}
	})
}
