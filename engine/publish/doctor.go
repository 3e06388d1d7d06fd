package publish

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
)

// Finding is one thing that a look at a gateway's configuration tells.
type Finding struct {
	OK       bool   `json:"ok"`
	Sentence string `json:"sentence"`
}

func fine(format string, args ...any) Finding  { return Finding{true, fmt.Sprintf(format, args...)} }
func wrong(format string, args ...any) Finding { return Finding{false, fmt.Sprintf(format, args...)} }

// writable looks whether the block of a list file can be written.
func writable(path string) []Finding {
	if _, _, err := (block{path}).read(); err != nil {
		return []Finding{wrong("%v", err)}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return []Finding{wrong("%s does not exist yet: make it, empty if need be, and name it in the gateway's configuration", path)}
	case info.Mode().Perm()&0o002 != 0:
		return []Finding{wrong("%s can be written by everybody, so everybody can let mail in: chmod o-w it", path)}
	}
	return []Finding{fine("%s holds our block, or none yet, and nobody edited it", path)}
}

// DoctorFile looks whether a gateway's own configuration names a list file, and
// whether a rule that refuses stands before the place. With verbs, those of its
// statements by name, true for what refuses, the list has to be asked in a
// statement that refuses or before one: after the last of them no entry can win.
func DoctorFile(config, path string, verbs map[string]bool) []Finding {
	if config == "" {
		return append([]Finding{fine("the gateway's configuration is not named (config:), so nobody looked whether it asks %s", path)}, writable(path)...)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		return []Finding{wrong("the gateway's configuration cannot be read: %v", err)}
	}
	number, asked := 0, 0
	inRefusal := false // the line belongs to a statement that refuses
	var before, after []string
	for line := range strings.Lines(string(text)) {
		number++
		said := strings.TrimSpace(line)
		if strings.HasPrefix(said, "#") {
			continue
		}
		word, _, _ := strings.Cut(strings.ReplaceAll(said, "\t", " "), " ")
		if refuses, verb := verbs[word]; verb {
			inRefusal = refuses
		} else {
			word = ""
		}
		place := fmt.Sprintf("%s:%d", config, number)
		switch names := strings.Contains(said, path); {
		case asked == 0 && names:
			asked = number
			if inRefusal {
				after = append(after, place)
			}
		case asked == 0 && word != "" && inRefusal:
			before = append(before, place)
		case word != "" && inRefusal:
			after = append(after, place)
		}
	}
	switch {
	case asked == 0:
		return []Finding{wrong("%s does not name %s: docs/publishing.md has the lines that it needs", config, path)}
	case len(verbs) > 0 && len(after) == 0:
		return []Finding{wrong("%s:%d asks %s where nothing is refused any more: no entry can win, move it before %s", config, asked, path, cmp.Or(strings.Join(before, ", "), "a rule that refuses"))}
	}
	f := []Finding{fine("%s:%d names %s", config, asked, path)}
	if len(before) > 0 {
		f = append(f, fine("before it can refuse: %s", strings.Join(before, ", ")))
	}
	return append(f, writable(path)...)
}

// EximVerbs are the verbs of Exim's ACLs; those that are true refuse.
func EximVerbs() map[string]bool {
	return map[string]bool{"deny": true, "drop": true, "defer": true, "require": true, "accept": false, "warn": false, "discard": false}
}

// DoctorGate looks whether a gate's place answers and whether a Postfix of this
// machine asks it, with the same answer to a failure as the gate's. setting is
// smtpd_milters, or smtpd_recipient_restrictions for a policy service.
func DoctorGate(ctx context.Context, listen string, failClosed bool, setting string) []Finding {
	kind, address, _ := strings.Cut(listen, ":")
	conn, err := (&net.Dialer{}).DialContext(ctx, map[string]string{"unix": "unix", "inet": "tcp"}[kind], address)
	if err != nil {
		return []Finding{wrong("nobody listens on %s: start mailwhy serve", listen)}
	}
	f := []Finding{fine("it listens on %s", listen)}
	if err := conn.Close(); err != nil {
		f = append(f, wrong("%v", err))
	}
	c, err := readPostfixConf(ctx, "")
	if err != nil {
		return append(f, fine("no Postfix of this machine could be asked whether it uses it"))
	}
	value := c.values[setting]
	if !strings.Contains(value, address) {
		return append(f, wrong("%s of this Postfix does not name it: docs/publishing.md has the line", setting))
	}
	f = append(f, fine("%s names it", setting))
	open := strings.Contains(value, "default_action=accept") || strings.Contains(value, "default_action=DUNNO") || c.values["milter_default_action"] == "accept" && setting == "smtpd_milters"
	if open == failClosed {
		return append(f, wrong("Postfix and fail: do not agree on what becomes of a message when mailwhy is down: default_action=accept (or DUNNO) is open, tempfail is closed"))
	}
	return f
}
