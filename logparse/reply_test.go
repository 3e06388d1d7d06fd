package logparse

import (
	"testing"

	"mailwhy/engine/mail"
)

func TestReadReply(t *testing.T) {
	tests := []struct {
		log  string
		want mail.Reply
	}{
		{"", mail.Reply{}},
		{"550", mail.Reply{Code: 550}},
		{"550 5.1.1 User unknown", mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "User unknown"}},
		{"550 User unknown", mail.Reply{Code: 550, Text: "User unknown"}},
		{"5.7.1 Blocked by filter", mail.Reply{Enhanced: "5.7.1", Text: "Blocked by filter"}},
		{"550 5.12.345 odd", mail.Reply{Code: 550, Enhanced: "5.12.345", Text: "odd"}},
		{"550 5.1234.1 too long", mail.Reply{Code: 550, Text: "5.1234.1 too long"}},
		{"550 5.1 short", mail.Reply{Code: 550, Text: "5.1 short"}},
		{"4500 is no code", mail.Reply{Text: "4500 is no code"}},
		{"192.0.2.1 is an address", mail.Reply{Text: "192.0.2.1 is an address"}},
		{"all server ports busy", mail.Reply{Text: "all server ports busy"}},
		{"550-5.7.1 one 550-5.7.1 two 550 5.7.1 three", mail.Reply{Code: 550, Enhanced: "5.7.1", Text: "one two three"}},
		{"550-one 550 two", mail.Reply{Code: 550, Text: "one two"}},
		{"550-5.1.1 one 550-5.2.2 two 550 5.1.1 three", mail.Reply{Code: 550, Enhanced: "5.1.1", Text: "one 5.2.2 two three"}},
		{"421-one 550 is not its code 421 two 421 three", mail.Reply{Code: 421, Text: "one 550 is not its code two 421 three"}},
		{"550-", mail.Reply{Code: 550}},
		{"550- 550", mail.Reply{Code: 550, Text: " 550"}},
	}
	for _, test := range tests {
		if got := readReply(test.log); got != test.want {
			t.Errorf("readReply(%q) = %+v, want %+v", test.log, got, test.want)
		}
	}
}
