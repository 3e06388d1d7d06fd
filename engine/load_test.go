package engine

import (
	"errors"
	"fmt"
	"slices"
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
		"":                                          "p:1: the file is empty",
		"version: 2\n":                              `p:1: version "2" is not known`,
		"internal_domains: [a.example]":             "p:1: version is missing",
		"version: 1\nversion: 1\n":                  `p:2: key "version" stands twice`,
		"version: 1\ncolour: red\n":                 `p:2: unknown key "colour"`,
		"version: 1\n\tx: [":                        "p:2: this is not YAML",
		"# nothing\n":                               "p:1: the file is empty",
		"---\n":                                     "p:1: the file is empty",
		"version: 1\n---\n":                         "p:2: a second document",
		"version: 1\n---\n[":                        "p:3: this is not YAML",
		"version: 1\na: \xff\n":                     "p:2: this is not YAML",
		"version: 1\nb: \x01\n":                     "p:2: this is not YAML",
		"version: 1\r\ncolour: red\r\n":             `p:2: unknown key "colour"`,
		"hello":                                     "p:1: the policy file must be keys with values",
		"version: 1\n? [a]\n: b\n":                  "p:2: a key of the policy file is not a word",
		"version: 1\nb: &b {}\n<<: *b\n":            "p:3: a key of the policy file is not a word",
		"version: 1\nblocked_senders: {id: x}\n":    "p:2: blocked_senders must be a list",
		"version: 1\nblocked_senders: &x\n  - *x\n": "p:2: a blocked_senders entry must be keys",
		"version: 1\nblocked_senders: " + strings.Repeat("[", 20_000):                                                                                                     "this is not YAML",
		"version: 1\nknown: &a {groups: all}\ndefaults: *a\n":                                                                                                             `p:2: unknown key "groups" in defaults`,
		"version: 1\ngroups: {A: {members: [group:A]}}\n":                                                                                                                 `p:2: group "A" contains itself`,
		"version: 1\ngroups: {A: {members: [group:B]}}\n":                                                                                                                 `p:2: unknown group "B" in group "A"`,
		"version: 1\nengine: {order: {rcpt: [blocked_senders]}}\n":                                                                                                        "p:2: order of rcpt must list each of its stages once",
		"version: 1\nauto_allow: [{internal: b@c.example, external: x@d.example}]\n":                                                                                      "p:2: last_sent is missing",
		"version: 1\nattributes: [{address: b, name: n, value: v}]\n":                                                                                                     "p:2: address \"b\" of an attributes entry",
		"version: 1\nmanaged_senders: [{recipient: b@c.example, sender: '*.d.example', action: block}]\n":                                                                 "p:2: sender \"*.d.example\" of a managed_senders entry",
		"version: 1\nmanaged_senders: [{recipient: b@c.example, sender: d.example, action: allow}]\n":                                                                     "p:2: action \"allow\"",
		"version: 1\nreputation: [{id: R, option: apply, hits: 0, from: {type: everyone}, to: {type: everyone}}]\n":                                                       "p:2: hits of policy R must be a whole number from 1",
		"version: 1\ndns_authentication: [{id: D, spf: bounce, from: {type: everyone}, to: {type: everyone}}]\n":                                                          "p:2: spf of policy D must be none or ignore_permits or reject or honour",
		"version: 1\ncontent_examination: [{id: C, action: shred, from: {type: everyone}, to: {type: everyone}}]\n":                                                       "p:2: action of policy C must be hold or bounce or delete or none",
		"version: 1\nanti_spoofing_spf_bypass: [{id: S, from: {type: everyone}, to: {type: everyone}}]\n":                                                                 "p:2: spf_domains of policy S is missing",
		"version: 1\ndefaults: {external_to_external: false}\n" + twice("blocked_senders", "external_addresses"):                                                          "p:5: policy P2 is a second external to external policy",
		policy("{id: default-relay, option: block_sender, from: {type: everyone}, to: {type: everyone}}"):                                                                 `p:5: id "default-relay" is already taken`,
		policy("{id: P, option: block_sender, from: {type: everyone}, to: {type: header_display_name, value: Boss}}"):                                                     "p:5: header_display_name of policy P goes with from only",
		policy("{id: P, option: block_sender, from: {type: everyone, value: x.example}, to: {type: everyone}}"):                                                           "p:5: from of policy P has a value, but type everyone takes none",
		policy("{id: P, option: block_sender, from: everyone, to: {type: everyone}}"):                                                                                     "p:5: from of policy P must be keys with values",
		policy("{id: P, option: block_sender, from: {type: email_domain, value: 'multi:x'}, to: {type: everyone}}"):                                                       `p:5: from of policy P: "multi:x" is not a domain`,
		policy("{id: P, option: block_sender, from: {type: email_domain, value: '*.*.x.example'}, to: {type: everyone}}"):                                                 `p:5: from of policy P: "*.*.x.example" is not a domain`,
		policy("{id: P, option: block_sender, from: {type: email_domain, value: '.*'}, to: {type: everyone}}"):                                                            `p:5: from of policy P: ".*" is not a domain`,
		policy("{id: P, option: block_sender, from: {type: individual_email_address, value: '*@x.example'}, to: {type: everyone}}"):                                       `p:5: from of policy P: "*@x.example" is not one address`,
		policy("{id: [P], option: block_sender, from: {type: everyone}, to: {type: everyone}}"):                                                                           "p:5: id must be one value",
		policy("{id: P, id: Q, option: block_sender, from: {type: everyone}, to: {type: everyone}}"):                                                                      `p:5: key "id" stands twice`,
		policy("{" + `id: P, option: block_sender, from: {type: everyone}, to: {type: everyone}` + ", enabled: 'true'}"):                                                  `p:5: enabled must be true or false, not "true"`,
		policy("{" + `id: P, option: block_sender, from: {type: everyone}, to: {type: everyone}` + ", source_ips: []}"):                                                   "p:5: source_ips of policy P is empty",
		policy("{" + `id: P, option: block_sender, from: {type: everyone}, to: {type: everyone}` + ", to_date: tomorrow}"):                                                `p:5: to_date: "tomorrow" is not a date`,
		"version: 1\ninternal_domains:\n  - not a domain\n":                                                                                                               `p:3: internal_domains: "not a domain" is not a domain`,
		"version: 1\nauthorised_outbound: [10.0.0.0/99]\n":                                                                                                                `p:2: authorised_outbound: "10.0.0.0/99" is not an IP range`,
		"version: 1\ngroups:\n  A: {members: [group:B]}\n  B: {members: [group:A]}\n":                                                                                     `contains itself`,
		"version: 1\ngroups:\n  A: {members: [\"*@x.example\"]}\n":                                                                                                        `p:3: member "*@x.example" of group "A"`,
		"version: 1\nengine: {specificity: [everyone]}\n":                                                                                                                 "p:2: specificity must list each",
		"version: 1\nengine: {compare: sideways}\n":                                                                                                                       "p:2: compare must be from_first or to_first",
		"version: 1\nknown: {groups: some}\n":                                                                                                                             "p:2: known groups must be all or partial",
		"version: 1\nmanaged_senders:\n  - {recipient: b@c.example, sender: x.example, action: block}\n  - {recipient: B@c.example, sender: X.example, action: permit}\n": "p:4: b@c.example and x.example stand a second time",
		policy("{" + valid + ", optoin: x}"):                                                                                                                              `p:5: unknown key "optoin"`,
		policy("{" + strings.Replace(valid, "id: P, ", "", 1) + "}"):                                                                                                      "p:5: id is missing",
		policy("{" + strings.Replace(valid, "block_sender", "explode", 1) + "}"):                                                                                          "p:5: option of policy P must be",
		policy("{" + valid + "}\n  - {" + valid + "}"):                                                                                                                    `p:6: id "P" is already taken at line 5`,
		policy("{id: P, option: block_sender, to: {type: everyone}}"):                                                                                                     "p:5: from of policy P is missing",
		policy("{id: P, option: block_sender, from: {type: email_domain}, to: {type: everyone}}"):                                                                         "p:5: from of policy P has type email_domain without a value",
		policy("{id: P, option: block_sender, from: {type: email_domain, value: '*@x.example'}, to: {type: everyone}}"):                                                   `"*@x.example" is not a domain`,
		policy("{id: P, option: block_sender, from: {type: email_domain, value: 'a.*.example'}, to: {type: everyone}}"):                                                   `"a.*.example" is not a domain`,
		policy("{id: P, option: block_sender, from: {type: individual_email_address, value: nobody}, to: {type: everyone}}"):                                              `"nobody" is not one address`,
		policy("{id: P, option: block_sender, from: {type: profile_group, value: g}, to: {type: everyone}}"):                                                              `unknown group "g"`,
		policy("{id: P, option: block_sender, from: {type: sender}, to: {type: everyone}}"):                                                                               `unknown type "sender"`,
		policy("{id: P, option: block_sender, from: {type: header_display_name, value: Boss}, to: {type: everyone}}"):                                                     "needs from_part: header_from",
		policy("{id: P, option: block_sender, from: {type: external_addresses}, to: {type: external_addresses}}"):                                                         "second external to external policy",
		policy("{" + valid + ", from_date: 2026-13-01}"):                                                                                                                  `from_date: "2026-13-01" is not a date`,
		policy("{" + valid + ", from_date: 2026-11-02, to_date: 2026-11-01}"):                                                                                             "to_date of policy P lies before its from_date",
		policy("{" + valid + ", source_ips: [everywhere]}"):                                                                                                               `"everywhere" is not an IP range`,
		policy("{" + valid + ", override: perhaps}"):                                                                                                                      `override must be true or false, not "perhaps"`,
	} {
		_, err := Load("p", []byte(text))
		var load *LoadError
		if !errors.As(err, &load) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// twice gives a section with two policies between everybody of a type.
func twice(section, kind string) string {
	entry := "id: %s, option: block_sender, from: {type: " + kind + "}, to: {type: " + kind + "}"
	return section + ":\n  - {" + fmt.Sprintf(entry, "P1") + "}\n  - {" + fmt.Sprintf(entry, "P2") + "}\n"
}

// TestLoadToleratesForms holds for what means the same in another form.
func TestLoadToleratesForms(t *testing.T) {
	for _, text := range []string{
		"\ufeffversion: 1\n", "version: 1\r\n", `{"version": 1}`, "version: 1\ndefaults:\nknown: ~\n", "version: 1\ngroups: {Empty: {}}\n",
		"version: 1\nfree_mail_domains: &mail [mail.example]\ninternal_domains: *mail\n", "version: 1\ninternal_domains: [bücher.example]\n",
	} {
		if _, err := Load("p", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestLongListsReadAsShortOnes holds for members in both forms of a list, with
// the lines of mistakes behind them.
func TestLongListsReadAsShortOnes(t *testing.T) {
	const members = 20_000
	for _, form := range []struct{ before, between, after string }{{" [", ",\n ", "]"}, {"\n      - ", "\n      - ", ""}, {"\r\n      - ", "\r\n      - ", ""}} {
		var list []string
		for i := range members {
			list = append(list, fmt.Sprintf("u%d@d%d.example", i, i%7))
		}
		text := "version: 1\n# members: [a]\ngroups:\n  Big:\n    members:" + form.before + strings.Join(list, form.between) + form.after + "\n  Small: {members: [x.example]}\n"
		set, err := Load("p", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := set.file.groups["Big"]; !slices.Equal(got, list) {
			t.Errorf("%q: %d members instead of %d", form, len(got), members)
		}
		_, err = Load("p", []byte(strings.Replace(text, "u19999@", "u19999-.", 1)+"colour: red\n"))
		lines := strings.Count(text[:strings.Index(text, "u19999@")], "\n") + 1
		want := fmt.Sprintf("p:%d: member \"u19999-.d0.example\" of group \"Big\" is neither an address nor a domain (groups take no wildcards)\np:%d: unknown key \"colour\" in the policy file", lines, strings.Count(text, "\n")+1)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", form, err, want)
		}
	}
	inText := "version: 1\nblocked_senders:\n  - id: P\n    description: |\n      members:" + strings.Repeat("\n      - word.example", members) +
		"\n    option: block_sender\n    from: {type: everyone}\n    to: {type: everyone}\n"
	set, err := Load("p", []byte(inText))
	if err != nil || strings.Count(set.file.policies[SectionBlockedSenders][0].Description, "word.example") != members {
		t.Errorf("a list in a description is not kept: %v", err)
	}
}

// BenchmarkLoadMillionMembers is a group of 1,000,000 members: below 2 s.
func BenchmarkLoadMillionMembers(b *testing.B) {
	var text strings.Builder
	text.WriteString("version: 1\ngroups:\n  Big:\n    members:\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&text, "      - user%d@d%d.example\n", i, i%1000)
	}
	data := []byte(text.String())
	for b.Loop() {
		if _, err := Load("p", data); err != nil {
			b.Fatal(err)
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
