// Package sshd serves the terminal program and the command line over SSH
// (RFC 4251 to 4254).
//
// Who somebody is follows from the key that was proved, never from one that was
// offered and never from the user name alone: a Keyring reads authorized_keys
// lines and certificates, and is asked once to let a signature be tried and
// again when a session begins. A session is the screens (with a terminal) or
// one command line (without), nothing else: no shell, no forwarding, no
// subsystem, no environment but the terminal's own.
//
// Limits come in the order in which a stranger meets them: connections of an
// address, connections that have not authenticated, time to authenticate,
// sessions in all and of a person, idle time, total time. What breaks in one
// session ends that session.
//
//	keys := sshd.OpenKeyring(sshd.Files{AuthorizedKeys: "keys"}, time.Now)
//	s, err := sshd.New(sshd.Options{HostKey: key, Tenants: []sshd.Tenant{{Keys: keys, Screens: screens, Run: run}}})
//	err = s.Serve(ctx, listener)
//
// It must not know logs, policies or the index: what a person may see and do is
// decided by the callbacks that are given the person's Identity.
package sshd
