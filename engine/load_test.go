package engine

import (
	"errors"
	"strings"
	"testing"
)

// TestLoadNamesEveryMistake gives one mistake at a time, on a known line.
func TestLoadNamesEveryMistake(t *testing.T) {
	policy := func(line string) string {
		return "version: 1\ninternal_domains: [corp.example]\ngroups: {G: {members: [a.example]}}\nblocked_senders:\n  - " + line + "\n"
	}
	valid := `id: P, option: block_sender, from: {type: everyone}, to: {type: everyone}`
	for text, want := range map[string]string{
		"":                              "p:1: the file is empty",
		"version: 2\n":                  `p:1: version "2" is not known`,
		"internal_domains: [a.example]": "p:1: version is missing",
		"version: 1\nversion: 1\n":      `p:2: key "version" stands twice`,
		"version: 1\ncolour: red\n":     `p:2: unknown key "colour"`,
		"version: 1\n\tx: [":            "p:2: this is not YAML",
		"version: 1\ninternal_domains:\n  - not a domain\n":                           `p:3: internal_domains: "not a domain" is not a domain`,
		"version: 1\nauthorised_outbound: [10.0.0.0/99]\n":                            `p:2: authorised_outbound: "10.0.0.0/99" is not an IP range`,
		"version: 1\ngroups:\n  A: {members: [group:B]}\n  B: {members: [group:A]}\n": `contains itself`,
		"version: 1\ngroups:\n  A: {members: [\"*@x.example\"]}\n":                    `p:3: member "*@x.example" of group "A"`,
		"version: 1\nengine: {specificity: [everyone]}\n":                             "p:2: specificity must list each",
		"version: 1\nengine: {compare: sideways}\n":                                   "p:2: compare must be from_first or to_first",
		"version: 1\nknown: {groups: some}\n":                                         "p:2: known groups must be all or partial",
		"version: 1\nmanaged_senders:\n  - {recipient: b@c.example, sender: x.example, action: block}\n  - {recipient: B@c.example, sender: X.example, action: permit}\n": "p:4: b@c.example and x.example stand a second time",
		policy("{" + valid + ", optoin: x}"):                                                                                 `p:5: unknown key "optoin"`,
		policy("{" + strings.Replace(valid, "id: P, ", "", 1) + "}"):                                                         "p:5: id is missing",
		policy("{" + strings.Replace(valid, "block_sender", "explode", 1) + "}"):                                             "p:5: option of policy P must be",
		policy("{" + valid + "}\n  - {" + valid + "}"):                                                                       `p:6: id "P" is already taken at line 5`,
		policy("{id: P, option: block_sender, to: {type: everyone}}"):                                                        "p:5: from of policy P is missing",
		policy("{id: P, option: block_sender, from: {type: email_domain}, to: {type: everyone}}"):                            "p:5: from of policy P has type email_domain without a value",
		policy("{id: P, option: block_sender, from: {type: email_domain, value: '*@x.example'}, to: {type: everyone}}"):      `"*@x.example" is not a domain`,
		policy("{id: P, option: block_sender, from: {type: email_domain, value: 'a.*.example'}, to: {type: everyone}}"):      `"a.*.example" is not a domain`,
		policy("{id: P, option: block_sender, from: {type: individual_email_address, value: nobody}, to: {type: everyone}}"): `"nobody" is not one address`,
		policy("{id: P, option: block_sender, from: {type: profile_group, value: g}, to: {type: everyone}}"):                 `unknown group "g"`,
		policy("{id: P, option: block_sender, from: {type: sender}, to: {type: everyone}}"):                                  `unknown type "sender"`,
		policy("{id: P, option: block_sender, from: {type: header_display_name, value: Boss}, to: {type: everyone}}"):        "needs from_part: header_from",
		policy("{id: P, option: block_sender, from: {type: external_addresses}, to: {type: external_addresses}}"):            "second external to external policy",
		policy("{" + valid + ", from_date: 2026-13-01}"):                                                                     `from_date: "2026-13-01" is not a date`,
		policy("{" + valid + ", from_date: 2026-11-02, to_date: 2026-11-01}"):                                                "to_date of policy P lies before its from_date",
		policy("{" + valid + ", source_ips: [everywhere]}"):                                                                  `"everywhere" is not an IP range`,
		policy("{" + valid + ", override: perhaps}"):                                                                         `override must be true or false, not "perhaps"`,
	} {
		_, err := Load("p", []byte(text))
		var load *LoadError
		if !errors.As(err, &load) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestLoadReportsAllMistakesAtOnce(t *testing.T) {
	_, err := Load("p", []byte("version: 1\na: 1\nb: 2\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("version: 1\ninternal_domains: [corp.example]\n")
	f.Add("version: 1\nblocked_senders:\n  - {id: P, option: block_sender, from: {type: everyone}, to: {type: everyone}}\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := Load("p", []byte(text))
		if (set == nil) == (err == nil) {
			t.Errorf("set %v, error %v", set, err)
		}
		var load *LoadError
		if err != nil && (!errors.As(err, &load) || len(load.Problems) == 0) {
			t.Errorf("an error without problems: %v", err)
		}
	})
}
