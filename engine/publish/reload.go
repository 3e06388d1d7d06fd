package publish

import (
	"context"
	"fmt"

	"mailwhy/engine/mail"
)

// reloadWith makes a put that runs a command; without one the gateway looks at
// the file by itself.
func reloadWith(argv []string) func(context.Context, map[string]string) error {
	if len(argv) == 0 {
		return nil
	}
	return func(ctx context.Context, _ map[string]string) error {
		_, err := runCommand(ctx, "", argv...)
		return err
	}
}

// liftsOf tells for a list of senders whether it can have refused a message of
// a format.
func liftsOf(format, what string) func(*mail.Message, []byte) (bool, string) {
	return func(m *mail.Message, _ []byte) (bool, string) {
		if m.Format != format {
			return false, "this message was refused by another gateway"
		}
		return true, what
	}
}

// senderOnly refuses what a list of envelope senders cannot say.
func senderOnly(r row, list string) error {
	switch {
	case r.recipient != "":
		return fmt.Errorf("%s does not see the recipient: it would let %s write to everyone; make the exception sender>all", list, r.sender)
	case !r.envelope:
		return fmt.Errorf("%s sees the envelope sender alone, never the header from", list)
	}
	return nil
}
