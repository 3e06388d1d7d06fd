package engine

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// groupReader collects the groups of a file: their own members, and the groups
// named inside them as "group:NAME".
type groupReader struct {
	*loader
	direct map[string][]string
	nested map[string][]*yaml.Node
}

func (l *loader) readGroups(n *yaml.Node) {
	names := l.mapping(n, "groups")
	g := groupReader{loader: l, direct: map[string][]string{}, nested: map[string][]*yaml.Node{}}
	for _, name := range sortedKeys(names) {
		fields := l.mapping(names[name], "group "+quote(name), "members")
		g.direct[name] = nil
		for _, item := range l.sequence(fields["members"], "members of group "+quote(name)) {
			g.read(name, item, names)
		}
	}
	state := map[string]int{}
	for _, name := range sortedKeys(g.direct) {
		g.checkCycles(name, state)
	}
	for name := range g.direct {
		l.file.groups[name] = g.membersOf(name)
	}
}

func (g *groupReader) read(name string, item *yaml.Node, names map[string]*yaml.Node) {
	if list, ok := g.listOf(item); ok {
		for line, word := range list.each {
			g.member(name, &yaml.Node{Kind: yaml.ScalarNode, Line: line, Value: word}, word)
		}
		return
	}
	text := g.text(item, "a member of group "+quote(name))
	inner, isGroup := strings.CutPrefix(text, "group:")
	switch {
	case !isGroup:
		g.member(name, item, text)
	case names[inner] == nil:
		g.problem(item, "unknown group %s in group %s", quote(inner), quote(name))
	default:
		g.nested[name] = append(g.nested[name], item)
	}
}

func (g *groupReader) member(name string, n *yaml.Node, text string) {
	if !validAddress(text) && !validDomain(text) {
		g.problem(n, "member %s of group %s is neither an address nor a domain (groups take no wildcards)", quote(text), quote(name))
		return
	}
	g.direct[name] = append(g.direct[name], foldMember(text))
}

func innerGroup(n *yaml.Node) string { return strings.TrimPrefix(n.Value, "group:") }

// checkCycles walks down from a group: 1 stands for a group on the way, 2 for
// one that is done.
func (g *groupReader) checkCycles(name string, state map[string]int) {
	if state[name] != 0 {
		return
	}
	state[name] = 1
	for _, item := range g.nested[name] {
		inner := innerGroup(item)
		if state[inner] == 1 {
			g.problem(item, "group %s contains itself through %s", quote(inner), quote(name))
			continue
		}
		g.checkCycles(inner, state)
	}
	state[name] = 2
}

// membersOf gives a group's members with those of the groups inside it.
func (g *groupReader) membersOf(name string) []string {
	if len(g.nested[name]) == 0 {
		return g.direct[name]
	}
	var members []string
	queue := []string{name}
	for i := 0; i < len(queue); i++ {
		members = append(members, g.direct[queue[i]]...)
		for _, item := range g.nested[queue[i]] {
			if inner := innerGroup(item); !slices.Contains(queue, inner) {
				queue = append(queue, inner)
			}
		}
	}
	slices.Sort(members)
	return slices.Compact(members)
}
