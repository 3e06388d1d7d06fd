package tui

import "github.com/charmbracelet/bubbles/key"

// bind makes a binding; shown is how help writes its keys.
func bind(shown, does string, keys ...string) key.Binding {
	return key.NewBinding(key.WithKeys(keys...), key.WithHelp(shown, does))
}

// globalKeys work wherever no dialog and no text input takes the keys.
type globalKeys struct {
	messages, exceptions, sources, policies, causes, next, command, help, back, quit, kill key.Binding
}

func newGlobalKeys() globalKeys {
	return globalKeys{
		messages:   bind("1", "messages", "1"),
		exceptions: bind("2", "exceptions", "2"),
		sources:    bind("3", "sources", "3"),
		policies:   bind("4", "policies", "4"),
		causes:     bind("5", "causes", "5"),
		next:       bind("tab", "next screen", "tab"),
		command:    bind(":", "command", ":"),
		help:       bind("?", "help", "?"),
		back:       bind("esc", "back", "esc"),
		quit:       bind("q", "back, quit", "q"),
		kill:       bind("ctrl+c", "quit at once", "ctrl+c"),
	}
}

func (k globalKeys) all() []key.Binding {
	return []key.Binding{k.help, k.command, k.back, k.messages, k.exceptions, k.sources, k.policies, k.causes, k.next, k.quit, k.kill}
}

// moveKeys move a selection.
type moveKeys struct {
	up, down, pageUp, pageDown, halfUp, halfDown, top, bottom key.Binding
}

func newMoveKeys() moveKeys {
	return moveKeys{
		up:       bind("k/up", "up", "k", "up"),
		down:     bind("j/down", "down", "j", "down"),
		pageUp:   bind("pgup", "page up", "pgup", "ctrl+b"),
		pageDown: bind("pgdn", "page down", "pgdown", "ctrl+f"),
		halfUp:   bind("ctrl+u", "half a page up", "ctrl+u"),
		halfDown: bind("ctrl+d", "half a page down", "ctrl+d"),
		top:      bind("g", "first", "g", "home"),
		bottom:   bind("G", "last loaded", "G", "end"),
	}
}

func (k moveKeys) all() []key.Binding {
	return []key.Binding{k.down, k.up, k.pageDown, k.pageUp, k.halfDown, k.halfUp, k.top, k.bottom}
}

// actKeys act on one message.
type actKeys struct {
	bypass, permit, managed, relay, copy, undo key.Binding
}

func newActKeys(operator bool) actKeys {
	k := actKeys{
		bypass:  bind("b", "bypass", "b"),
		permit:  bind("p", "permit", "p"),
		managed: bind("m", "managed sender", "m"),
		relay:   bind("r", "relay", "r"),
		copy:    bind("y", "copy", "y"),
		undo:    bind("u", "undo", "u"),
	}
	for _, b := range []*key.Binding{&k.bypass, &k.permit, &k.managed, &k.relay, &k.undo} {
		b.SetEnabled(operator)
	}
	return k
}

func (k actKeys) all() []key.Binding {
	return []key.Binding{k.bypass, k.permit, k.copy, k.undo, k.managed, k.relay}
}

// listKeys are those of the Messages screen.
type listKeys struct {
	open, search, widen, follow, unseen key.Binding
	act                                 actKeys
	move                                moveKeys
}

func newListKeys(operator bool) listKeys {
	return listKeys{
		open:   bind("enter", "open", "enter", "right", "l"),
		search: bind("/", "search", "/"),
		widen:  bind("w", "look further back", "w"),
		follow: bind("f", "follow the newest", "f"),
		unseen: bind("n", "never seen? what that proves", "n"),
		act:    newActKeys(operator),
		move:   newMoveKeys(),
	}
}

func (k listKeys) all() []key.Binding {
	all := []key.Binding{k.open, k.search, k.act.bypass, k.act.permit, k.act.copy, k.act.managed, k.act.relay, k.act.undo, k.widen, k.unseen, k.follow}
	return append(all, k.move.all()...)
}

// promptKeys are those of the query line while it is edited.
type promptKeys struct{ accept, cancel, older, newer, clear key.Binding }

func newPromptKeys() promptKeys {
	return promptKeys{
		accept: bind("enter", "search and go to the rows", "enter"),
		cancel: bind("esc", "leave as it was", "esc"),
		older:  bind("up", "earlier query", "up", "ctrl+p"),
		newer:  bind("down", "later query", "down", "ctrl+n"),
		clear:  bind("ctrl+u", "clear", "ctrl+u"),
	}
}

func (k promptKeys) all() []key.Binding {
	return []key.Binding{k.accept, k.cancel, k.clear, k.older, k.newer}
}

// detailKeys are those of the Message screen.
type detailKeys struct {
	expand, asOf, next, previous key.Binding
	act                          actKeys
	move                         moveKeys
}

func newDetailKeys(operator bool) detailKeys {
	return detailKeys{
		expand:   bind("enter", "do, expand", "enter"),
		asOf:     bind("t", "as of then or now", "t"),
		next:     bind("J/n", "next message", "J", "n"),
		previous: bind("K/N", "previous message", "K", "N"),
		act:      newActKeys(operator),
		move:     newMoveKeys(),
	}
}

func (k detailKeys) all() []key.Binding {
	all := append([]key.Binding{k.expand}, k.act.all()...)
	return append(append(all, k.asOf, k.next, k.previous), k.move.all()...)
}

// sheetKeys are those of the sheets.
type sheetKeys struct{ next, previous, left, right, enter, cancel key.Binding }

func newSheetKeys() sheetKeys {
	return sheetKeys{
		next:     bind("tab/down", "next field", "tab", "down"),
		previous: bind("shift+tab/up", "field before", "shift+tab", "up"),
		left:     bind("left", "choice before", "left"),
		right:    bind("right", "next choice", "right"),
		enter:    bind("enter", "next, press button", "enter"),
		cancel:   bind("esc", "cancel", "esc"),
	}
}

func (k sheetKeys) all() []key.Binding {
	return []key.Binding{k.next, k.previous, k.left, k.right, k.enter, k.cancel}
}

// confirmKeys are those of a question with two buttons.
type confirmKeys struct{ other, enter, cancel key.Binding }

func newConfirmKeys() confirmKeys {
	return confirmKeys{
		other:  bind("tab", "other button", "tab", "left", "right", "shift+tab", "h", "l"),
		enter:  bind("enter", "press button", "enter"),
		cancel: bind("esc", "cancel", "esc", "n"),
	}
}

func (k confirmKeys) all() []key.Binding { return []key.Binding{k.other, k.enter, k.cancel} }

// copyKeys are those of the copy menu.
type copyKeys struct{ ticket, sender, recipient, reply, id, log, steps, api, cancel key.Binding }

func newCopyKeys() copyKeys {
	return copyKeys{
		ticket:    bind("t", "text for the ticket", "t"),
		sender:    bind("s", "sender", "s"),
		recipient: bind("c", "recipient", "c"),
		reply:     bind("r", "reply", "r"),
		id:        bind("m", "message id", "m"),
		log:       bind("l", "log lines", "l"),
		steps:     bind("g", "console steps of what helps", "g"),
		api:       bind("a", "API request of what helps", "a"),
		cancel:    bind("esc", "nothing", "esc", "y"),
	}
}

func (k copyKeys) all() []key.Binding {
	return []key.Binding{k.ticket, k.sender, k.recipient, k.reply, k.id, k.log, k.steps, k.api, k.cancel}
}

// exceptionKeys are those of the Exceptions screen.
type exceptionKeys struct {
	open, done, revoke, extend, approve key.Binding
	move                                moveKeys
}

func newExceptionKeys(operator, admin bool) exceptionKeys {
	k := exceptionKeys{
		open:    bind("enter", "steps and details", "enter"),
		done:    bind("d", "its steps are done", "d"),
		revoke:  bind("x/u", "revoke", "x", "u"),
		extend:  bind("e", "extend by 30 days", "e"),
		approve: bind("a", "approve", "a"),
		move:    newMoveKeys(),
	}
	k.done.SetEnabled(operator)
	k.revoke.SetEnabled(operator)
	k.extend.SetEnabled(operator)
	k.approve.SetEnabled(admin)
	return k
}

func (k exceptionKeys) all() []key.Binding {
	return append([]key.Binding{k.open, k.done, k.revoke, k.extend, k.approve}, k.move.all()...)
}

// sourceKeys are those of the Sources screen.
type sourceKeys struct {
	open key.Binding
	move moveKeys
}

func newSourceKeys() sourceKeys {
	return sourceKeys{open: bind("enter", "lines not understood", "enter"), move: newMoveKeys()}
}

func (k sourceKeys) all() []key.Binding { return append([]key.Binding{k.open}, k.move.all()...) }

// policyKeys are those of the Policies screen.
type policyKeys struct {
	open, refresh key.Binding
	move          moveKeys
}

func newPolicyKeys() policyKeys {
	return policyKeys{open: bind("enter", "its lines, findings, messages", "enter"), refresh: bind("R", "count again", "R"), move: newMoveKeys()}
}

func (k policyKeys) all() []key.Binding {
	return append([]key.Binding{k.open, k.refresh}, k.move.all()...)
}

// causeKeys are those of the Causes screen.
type causeKeys struct {
	open, bypass, refresh key.Binding
	move                  moveKeys
}

func newCauseKeys(operator bool) causeKeys {
	k := causeKeys{open: bind("enter", "its messages", "enter", "right", "l"), bypass: bind("b", "trace, bypass all of it", "b"),
		refresh: bind("R", "count again", "R"), move: newMoveKeys()}
	k.bypass.SetEnabled(operator)
	return k
}

func (k causeKeys) all() []key.Binding {
	return append([]key.Binding{k.open, k.bypass, k.refresh}, k.move.all()...)
}

// unseenKeys are those of "never seen?".
type unseenKeys struct{ ask, other, up, down, cancel key.Binding }

func newUnseenKeys() unseenKeys {
	return unseenKeys{
		ask:    bind("enter", "ask; again: its messages", "enter"),
		other:  bind("tab", "other address", "tab", "shift+tab"),
		up:     bind("up/pgup", "scroll up", "up", "pgup"),
		down:   bind("down/pgdn", "scroll down", "down", "pgdown"),
		cancel: bind("esc", "back", "esc"),
	}
}

func (k unseenKeys) all() []key.Binding {
	return []key.Binding{k.ask, k.other, k.down, k.up, k.cancel}
}

// acting leaves out the keys that only move a selection, for the last line.
func acting(all []key.Binding) []key.Binding {
	moves := map[string]bool{}
	for _, b := range newMoveKeys().all() {
		moves[b.Help().Key] = true
	}
	var some []key.Binding
	for _, b := range all {
		if !moves[b.Help().Key] {
			some = append(some, b)
		}
	}
	return some
}

// enabled leaves out what the user's role does not allow.
func enabled(all []key.Binding) []key.Binding {
	var some []key.Binding
	for _, b := range all {
		if b.Enabled() {
			some = append(some, b)
		}
	}
	return some
}
