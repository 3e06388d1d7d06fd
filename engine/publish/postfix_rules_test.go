package publish

import (
	"slices"
	"testing"
)

func TestAccessAction(t *testing.T) {
	for value, want := range map[string]string{
		"REJECT": "reject", "reject You are blocked": "reject", "550 5.7.1 no": "reject", "450 4.7.1 later": "defer", "DEFER_IF_PERMIT 4.7.1 x": "defer",
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
	got := ReadSenderList("block", []byte("# ours\n*@spammer.test:\nblocked@vendor.test: why\n@bulk.test\n!odd\n"))
	var keys []string
	for _, e := range got.Entries {
		keys = append(keys, e.Key+" "+e.Origin)
	}
	if want := []string{"spammer.test block:2", "blocked@vendor.test block:3", "bulk.test block:4"}; !slices.Equal(keys, want) {
		t.Errorf("got %q", keys)
	}
}
