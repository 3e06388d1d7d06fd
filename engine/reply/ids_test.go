package reply

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestIDs(t *testing.T) {
	cases := []struct {
		text string
		want []string
	}{
		{"550 Administrative prohibition - envelope blocked - https://help.example/docs#550 [Aj3QdPF2NkeJ4zVxWm1g0Q.us32]", []string{"Aj3QdPF2NkeJ4zVxWm1g0Q.us32", "Aj3QdPF2NkeJ4zVxWm1g0Q"}},
		{"said: 550 5.1.1 unknown\n\nMessage-ID: <20261124.1@mail.example.com>\nX: y", []string{"20261124.1@mail.example.com"}},
		{"message-id:\n <a@b.example>", []string{"a@b.example"}},
		{"Message-ID: nothing", nil},
		{"postfix/smtp[9]: 4PbC4z6W5Qz3tG3: to=<bob@example.com>", []string{"4PbC4z6W5Qz3tG3"}},
		{"1j5IF1-0006A7-Ub ** bob@example.com", []string{"1j5IF1-0006A7-Ub"}},
		{"Administrative prohibition", nil},
	}
	for _, c := range cases {
		got := IDs(c.text)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "abc%08d ", i)
	}
	if got := IDs(many.String()); len(got) != mostIDs {
		t.Errorf("%d ids", len(got))
	}
}
