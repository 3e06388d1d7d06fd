// Package exception is the one use case for every change a person makes to
// what the gateway lets in: propose, guard, create, extend, confirm, revoke.
//
// Who may let whom in, for how long and on whose word is decided here and
// nowhere else, so that no front end can skip a guard. What was decided stands
// in an append-only journal of JSON lines: every entry carries the hash
// (SHA-256, FIPS 180-4) of the one before and its own, is on disk before the
// call returns, and is never changed; the state is the fold of the entries.
//
//	s, err := exception.Open("exceptions.jsonl", exception.Options{Now: time.Now})
//	e, err := s.Create(ctx, set, actor, exception.Proposal{Kind: engine.KindBypass, Message: m, Ticket: "T-1"})
//	set = set.Apply(s.Changes()...)
//
// An exception counts in a replay from the instant it was created; whether the
// gateway has it too is its State: Pending until its steps are confirmed done.
//
// The hash chain finds edits, insertions, reordering and gaps; a small file
// beside the journal remembers its last entry, so that a cut end is found too.
// Neither is a signature: who can write both files can write new ones.
//
// It must not know a screen, an index, a gateway's interface or the clock.
package exception
