package publish

import (
	"slices"
	"testing"
)

func TestAccessAction(t *testing.T) {
	for value, want := range map[string]string{
		"REJECT": "reject", "reject You are blocked": "reject", "550 5.7.1 no": "reject", "450 4.7.1 later": "defer", "DEFER_IF_PERMIT 4.7.1 x": "defer_if_permit", "DEFER_IF_REJECT x": "defer_if_reject", "DEFER later": "defer",
		"OK": "permit", "": "permit", "1234": "permit", "550": "permit", "DUNNO": "dunno", "PREPEND X-A: b": "dunno", "HOLD": "hold", "DISCARD": "discard", "my_class": "",
	} {
		if got, _ := accessAction(value); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}

func TestWordsKeepBracesTogether(t *testing.T) {
	got := words("permit_mynetworks, check_sender_access hash:/etc/x\n check_policy_service { inet:127.0.0.1:10040, default_action=DUNNO }")
	want := []string{"permit_mynetworks", "check_sender_access", "hash:/etc/x", "check_policy_service", "inet:127.0.0.1:10040, default_action=DUNNO"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestReadSenderList(t *testing.T) {
	got, notes := ReadSenderList("block", []byte("# ours\n*@spammer.test:\nblocked@vendor.test: why\n@bulk.test\n!odd\n"))
	var keys []string
	for _, e := range got[0].Entries {
		keys = append(keys, e.Key+" "+e.Origin)
	}
	if want := []string{"spammer.test block:2", "blocked@vendor.test block:3", "bulk.test block:4"}; !slices.Equal(keys, want) {
		t.Errorf("got %q", keys)
	}
	if len(got) != 2 || got[1].Check != "opaque" || len(notes) != 1 || notes[0] != `block:5: "!odd" is not read, it may match anything` {
		t.Errorf("the negation became %+v, noted %q", got[1:], notes)
	}
}

// TestPatternIsReadAsPostfixReadsIt: what Go would read otherwise is not read.
func TestPatternIsReadAsPostfixReadsIt(t *testing.T) {
	for _, c := range []struct {
		kind, line, key string
		not             bool
		value           string
		ok              bool
	}{
		{"pcre", "/^bulk@/ REJECT no", "(?is)^bulk@", false, "REJECT no", true},
		{"pcre", "!/@partner\\.test$/i\tREJECT", `(?s)@partner\.test$`, true, "REJECT", true},
		{"regexp", "|a\\|b|m DUNNO", "(?im)a|b", false, "DUNNO", true},
		{"pcre", "/a/sm 550 5.7.1 no", "(?im)a", false, "550 5.7.1 no", true},
		{"pcre", "/(?=a)b/ REJECT", "", false, "REJECT", false},
		{"pcre", "/a/x REJECT", "", false, "REJECT", false},
		{"regexp", `/\<word\>/ REJECT`, "", false, "REJECT", false},
		{"regexp", `/a{,3}/ REJECT`, "", false, "REJECT", false},
		{"pcre", "/no end REJECT", "", false, "", false},
	} {
		key, not, value, ok := pattern(c.kind, c.line)
		if ok != c.ok || value != c.value || ok && (key != c.key || not != c.not) {
			t.Errorf("%s %q: %q %v %q %v", c.kind, c.line, key, not, value, ok)
		}
	}
}
