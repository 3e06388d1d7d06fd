package publish

// RspamdOptions name a map that a multimap rule reads, see docs/publishing.md.
type RspamdOptions struct {
	Name   string
	Path   string   // the map's file
	Reload []string // rspamd looks at its maps by itself, every map_watch_interval; nil = that
}

// NewRspamd publishes to a multimap of envelope senders. A permit beats a block
// only when the block's rule says require_symbols = "!MAILWHY_PERMIT".
func NewRspamd(o RspamdOptions) Publisher {
	return &list{name: o.Name, block: block{o.Path}, d: dialect{
		special: `*!"|$\{}^/#'`,
		lines: func(r row) (map[string]string, []string, error) {
			key := r.sender
			if r.domain {
				key = "@" + key
			}
			limits := []string{"counts once rspamd has looked at its maps again (map_watch_interval)", "lifts rspamd's own score and the rules that require its absence: what the mail server refuses before DATA it cannot lift"}
			return map[string]string{key: ""}, limits, senderOnly(r, "the map")
		},
		write: func(key, _ string) string { return key },
		put:   reloadWith(o.Reload),
		lifts: liftsOf("rspamd", "where rspamd's score refused it"),
	}}
}
