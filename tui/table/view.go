package table

import (
	"strings"

	"github.com/charmbracelet/lipgloss"

	"mailwhy/tui/cell"
)

// Column is one column. Widths are in cells; between columns stands one blank.
type Column[V any] struct {
	Title string
	Min   int // a column that cannot have this many cells is dropped
	Max   int // most cells it takes; 0 = all that is left
	Wide  int // narrowest table, in cells, that shows the column; 0 = any
	Drop  int // columns with the greatest Drop go first when room is short; 0 = never
	Right bool

	// Text is what the column shows of a row in w cells. It is cleaned and cut
	// by the table.
	Text func(v V, w int) string
	// Style colours the text; nil or the zero style leaves it plain.
	Style func(v V) lipgloss.Style
}

// Theme is how a table looks.
type Theme struct {
	Heading  lipgloss.Style
	Selected lipgloss.Style // of the whole selected row
	Pointer  string         // stands before the selected row, one cell
	Tail     string         // marks what was cut, one cell
}

// indent is the room of the pointer and a blank.
const indent = 2

// Widths lays the columns out in width cells: zero means dropped.
func (t *Table[V]) Widths(width int) []int {
	widths := make([]int, len(t.columns))
	room := width - indent
	shown := make([]bool, len(t.columns))
	need := 0
	for i, c := range t.columns {
		if shown[i] = width >= c.Wide; shown[i] {
			need += c.Min + 1
		}
	}
	for need-1 > room {
		last := -1
		for i, c := range t.columns {
			if shown[i] && c.Drop > 0 && (last < 0 || c.Drop > t.columns[last].Drop) {
				last = i
			}
		}
		if last < 0 {
			break
		}
		shown[last] = false
		need -= t.columns[last].Min + 1
	}
	rest := room - (need - 1)
	for i, c := range t.columns {
		if shown[i] {
			widths[i] = c.Min
		}
	}
	t.share(widths, max(rest, 0))
	return widths
}

// share gives the cells left over to the columns that can use them, evenly.
func (t *Table[V]) share(widths []int, rest int) {
	for rest > 0 {
		given := false
		for i, c := range t.columns {
			if widths[i] == 0 || rest == 0 || c.Max > 0 && widths[i] >= c.Max {
				continue
			}
			widths[i]++
			rest--
			given = true
		}
		if !given {
			return
		}
	}
}

// View draws the heading and the visible rows: exactly height lines of width
// cells.
func (t *Table[V]) View(th Theme) string {
	widths := t.Widths(t.width)
	lines := make([]string, 0, t.height)
	lines = append(lines, th.Heading.Render(t.heading(widths, th)))
	for i, v := range t.Visible() {
		lines = append(lines, t.row(v, t.offset+i == t.cursor, widths, th))
	}
	blank := strings.Repeat(" ", t.width)
	for len(lines) < t.height {
		lines = append(lines, blank)
	}
	return strings.Join(lines[:min(len(lines), t.height)], "\n")
}

func (t *Table[V]) heading(widths []int, th Theme) string {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", indent))
	for i, c := range t.columns {
		if widths[i] > 0 {
			b.WriteString(align(cell.Truncate(c.Title, widths[i], th.Tail), widths[i], c.Right))
			b.WriteByte(' ')
		}
	}
	return cell.Fit(b.String(), t.width, "")
}

func (t *Table[V]) row(v V, selected bool, widths []int, th Theme) string {
	var b strings.Builder
	pointer := " "
	if selected {
		pointer = th.Pointer
	}
	b.WriteString(cell.Fit(pointer, indent, ""))
	used := indent
	for i, c := range t.columns {
		if widths[i] == 0 {
			continue
		}
		text := strings.TrimRight(cell.Show(c.Text(v, widths[i]), widths[i], th.Tail), " ")
		text = align(text, widths[i], c.Right)
		if c.Style != nil && !selected {
			text = c.Style(v).Render(text)
		}
		b.WriteString(text)
		used += widths[i]
		if used < t.width {
			b.WriteByte(' ')
			used++
		}
	}
	if used < t.width {
		b.WriteString(strings.Repeat(" ", t.width-used))
	}
	if selected {
		return th.Selected.Render(cell.Fit(b.String(), t.width, ""))
	}
	if used > t.width { // narrower than its fixed columns: styles have no place there
		return strings.Repeat(" ", t.width)
	}
	return b.String()
}

func align(text string, w int, right bool) string {
	if right {
		return cell.PadLeft(text, w)
	}
	return cell.Pad(text, w)
}
