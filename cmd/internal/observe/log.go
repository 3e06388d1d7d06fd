package observe

import (
	"io"
	"log/slog"
	"regexp"
)

// localPart is what stands before the @ of an address in running text.
var localPart = regexp.MustCompile(`[^\s<>"'(),;:\\\[\]@|=]+@`)

// NewLogger makes a log of JSON lines. The local part of every address in it is
// masked, in whatever text it comes: a log of the program is read by others
// than the mail's.
func NewLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch v := a.Value.Any().(type) {
		case string:
			a.Value = slog.StringValue(maskAddresses(v))
		case error:
			a.Value = slog.StringValue(maskAddresses(v.Error()))
		}
		return a
	}}))
}

func maskAddresses(text string) string {
	return localPart.ReplaceAllLiteralString(text, "***@")
}
