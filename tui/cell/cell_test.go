package cell_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"mailwhy/tui/cell"
)

func TestClean(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := cell.Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	f("", "")
	f("plain text", "plain text")
	f("Grüße, 山田", "Grüße, 山田")
	f("\x1b[31mred\x1b[0m", "^[[31mred^[[0m")
	f("\x1b]52;c;aGk=\x07", "^[]52;c;aGk=^G")
	f("a\rb\nc\td", "a^Mb^Jc d")
	f("nul\x00del\x7f", "nul^@del^?")
	f("\u009b31m", "<U+009B>31m")
	f("\x9b31m", "<9B>31m")
	f("\xff\xfe", "<FF><FE>")
	f("invoice\u202efdp.exe", "invoice<U+202E>fdp.exe")
	f("\u2066x\u2069\u200e\u061c", "<U+2066>x<U+2069><U+200E><U+061C>")
	f("a\u200bb\ufeffc\u00add", "a<U+200B>b<U+FEFF>c<U+00AD>d")
	f("line\u2028para\u2029", "line<U+2028>para<U+2029>")
	f("❤\ufe0f", "❤")
	f("e\u0301", "e\u0301")
	f("z"+strings.Repeat("\u0301", 6), "z"+strings.Repeat("\u0301", 4)+"<U+0301><U+0301>")
	f("\U000e0041", "<U+E0041>")
}

func TestCleanLines(t *testing.T) {
	if got, want := cell.CleanLines("a\r\nb\x1b\nc"), "a\nb^[\nc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFit(t *testing.T) {
	f := func(in string, w int, want string) {
		t.Helper()
		if got := cell.Fit(in, w, "…"); got != want {
			t.Errorf("Fit(%q, %d) = %q, want %q", in, w, got, want)
		}
	}
	f("abc", 5, "abc  ")
	f("abcdef", 4, "abc…")
	f("abc", 0, "")
	f("abc", 1, "…")
	f("山田太郎", 5, "山田…")
	f("山田太郎", 4, "山… ")
	f("é", 3, "é  ")
}

func TestWrap(t *testing.T) {
	f := func(in string, w int, want ...string) {
		t.Helper()
		got := cell.Wrap(in, w)
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("Wrap(%q, %d) = %q, want %q", in, w, got, want)
		}
	}
	f("", 5, "")
	f("one two three", 8, "one two", "three")
	f("abcdefghij", 4, "abcd", "efgh", "ij")
	f("山田太郎", 1, "山田太郎")
	f("a\nb", 9, "a", "b")
}

// A hostile line as long as the parser lets through must not cost more than
// what is seen of it.
func TestLongLines(t *testing.T) {
	for _, unit := range []string{"a", "\x1b", "山", "e\u0301", "\u1100"} {
		long := strings.Repeat(unit, 1<<20/len(unit))
		if got := cell.Width(cell.Show(long, 80, "…")); got != 80 {
			t.Errorf("Show of %q is %d wide", unit, got)
		}
		if lines := cell.Wrap(cell.Clean(long), 80); len(lines) < 100 {
			t.Errorf("Wrap of %q: %d lines", unit, len(lines))
		}
	}
}

// safe lists what no terminal may be sent from a log.
func safe(t *testing.T, in, out string) {
	t.Helper()
	if !utf8.ValidString(out) {
		t.Fatalf("%q: no UTF-8: %q", in, out)
	}
	for _, r := range out {
		switch {
		case r < 0x20, 0x7f <= r && r <= 0x9f:
			t.Fatalf("%q: control %U in %q", in, r, out)
		case 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, r == 0x061c, r == 0x200e, r == 0x200f:
			t.Fatalf("%q: bidirectional control %U in %q", in, r, out)
		case 0x200b <= r && r <= 0x200d, r == 0xfeff, r == 0x2060, r == 0x2028, r == 0x2029:
			t.Fatalf("%q: invisible %U in %q", in, r, out)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "\x1b[2J", "\u202eabc", "\xc2", "山\u200d田", "e\u0301\u0301\u0301\u0301\u0301\u0301", "\x9b\u009b\ufeff\t\r\n"} {
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, s string, w int) {
		w %= 200
		clean := cell.Clean(s)
		safe(t, s, clean)
		if again := cell.Clean(clean); again != clean {
			t.Fatalf("%q: cleaning twice differs: %q, %q", s, clean, again)
		}
		fit := cell.Fit(clean, w, "…")
		safe(t, s, fit)
		if got := ansi.StringWidth(fit); got != max(w, 0) {
			t.Fatalf("Fit(%q, %d) = %q is %d wide", clean, w, fit, got)
		}
		if got := ansi.StringWidth(cell.Show(s, w, "…")); got != max(w, 0) {
			t.Fatalf("Show(%q, %d) is %d wide", s, w, got)
		}
		for _, line := range cell.Wrap(clean, w) {
			safe(t, s, line)
		}
	})
}

func TestTruncateLeft(t *testing.T) {
	cases := []struct {
		s    string
		w    int
		want string
	}{
		{"/var/log/mail.log", 20, "/var/log/mail.log"},
		{"/var/log/mail.log", 9, "…mail.log"},
		{"/var/log/mail.log", 1, "…"},
		{"/var/log/mail.log", 0, ""},
		{"日本語ログ", 5, "…ログ"},
		{"日本語ログ", 6, "…ログ"},
	}
	for _, c := range cases {
		if got := cell.TruncateLeft(c.s, c.w, "…"); got != c.want {
			t.Errorf("%q to %d cells: %q, want %q", c.s, c.w, got, c.want)
		}
	}
}
