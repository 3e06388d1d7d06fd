package table_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
	"github.com/google/go-cmp/cmp"

	"mailwhy/tui/cell"
	_ "mailwhy/tui/quiet"
	"mailwhy/tui/table"
)

func ids(from, to int) []string {
	var rows []string
	for i := from; i >= to; i-- {
		rows = append(rows, fmt.Sprintf("row %03d", i))
	}
	return rows
}

func newTable(width, height int) *table.Table[string] {
	t := table.New(func(s string) string { return s }, []table.Column[string]{
		{Title: "ID", Min: 7, Max: 7, Text: func(s string, _ int) string { return s }},
		{Title: "WIDE", Min: 10, Drop: 1, Text: func(s string, _ int) string { return "w" + s }},
		{Title: "MORE", Min: 10, Max: 12, Drop: 2, Text: func(string, int) string { return "more" }},
	})
	t.Resize(width, height)
	return t
}

func theme() table.Theme { return table.Theme{Pointer: ">", Tail: "~"} }

// screen returns the visible rows, the selected one marked.
func screen(t *table.Table[string]) []string {
	var lines []string
	for i, v := range t.Visible() {
		if t.Offset()+i == t.Cursor() {
			v = ">" + v
		}
		lines = append(lines, v)
	}
	return lines
}

func TestRowsKeepTheirPlace(t *testing.T) {
	tb := newTable(60, 5)
	tb.SetRows(ids(20, 1))
	tb.Move(2)
	before := screen(tb)
	tb.SetRows(ids(25, 1))
	if diff := cmp.Diff(before, screen(tb)); diff != "" {
		t.Errorf("rows jumped when others arrived above:\n%s", diff)
	}
	tb.SetRows(ids(30, -50))
	if diff := cmp.Diff(before, screen(tb)); diff != "" {
		t.Errorf("rows jumped when others arrived at both ends:\n%s", diff)
	}
}

func TestFollowShowsTheNewest(t *testing.T) {
	tb := newTable(60, 5)
	tb.Follow = true
	tb.SetRows(ids(20, 1))
	tb.SetRows(ids(22, 1))
	if diff := cmp.Diff([]string{"row 022", "row 021", ">row 020", "row 019"}, screen(tb)); diff != "" {
		t.Error(diff)
	}
	tb.SetRows(ids(40, 1))
	if diff := cmp.Diff([]string{"row 023", "row 022", "row 021", ">row 020"}, screen(tb)); diff != "" {
		t.Errorf("the selection was pushed out:\n%s", diff)
	}
}

func TestSelectionOutlivesItsRow(t *testing.T) {
	tb := newTable(60, 5)
	tb.SetRows([]string{"a", "b", "c"})
	tb.Select("b")
	tb.SetRows([]string{"a", "c"})
	if got, _ := tb.Selected(); got != "c" {
		t.Errorf("selected %q, want the row now in its place", got)
	}
	tb.SetRows(nil)
	if _, ok := tb.Selected(); ok {
		t.Error("something is selected in an empty table")
	}
	tb.Move(3)
	tb.Bottom()
	tb.Top()
	tb.MovePage(1)
}

func TestWidths(t *testing.T) {
	f := func(width int, want ...int) {
		t.Helper()
		if diff := cmp.Diff(want, newTable(width, 5).Widths(width)); diff != "" {
			t.Errorf("width %d:\n%s", width, diff)
		}
	}
	f(60, 7, 37, 12)
	f(40, 7, 17, 12)
	f(31, 7, 10, 10)
	f(30, 7, 20, 0)
	f(20, 7, 10, 0)
	f(12, 7, 0, 0)
	f(3, 7, 0, 0)
}

func TestViewIsExact(t *testing.T) {
	for _, size := range [][2]int{{60, 5}, {30, 3}, {12, 9}, {9, 4}, {3, 3}, {1, 1}, {0, 0}} {
		tb := newTable(size[0], size[1])
		tb.SetRows([]string{"\x1b[31mhostile\u202e", "山田太郎山田太郎", "x"})
		lines := strings.Split(tb.View(theme()), "\n")
		if size[1] > 0 && len(lines) != size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if strings.Contains(line, "\x1b") {
				t.Errorf("%v: escape in %q", size, line)
			}
			if cell.Width(line) != size[0] {
				t.Errorf("%v: %q is %d wide", size, line, cell.Width(line))
			}
		}
	}
}

// A frame of a table of a million rows asks for the rows on the screen alone.
func TestOnlyVisibleRowsAreDrawn(t *testing.T) {
	drawn := 0
	tb := table.New(func(n int) string { return fmt.Sprint(n) }, []table.Column[int]{
		{Title: "N", Min: 5, Text: func(n, _ int) string { drawn++; return fmt.Sprint(n) }},
	})
	rows := make([]int, 1_000_000)
	for i := range rows {
		rows[i] = i
	}
	tb.Resize(40, 21)
	tb.SetRows(rows)
	tb.Bottom()
	_ = tb.View(table.Theme{Heading: lipgloss.NewStyle()})
	if drawn != 20 {
		t.Errorf("%d rows drawn, want 20", drawn)
	}
}
