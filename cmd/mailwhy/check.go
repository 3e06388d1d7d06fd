package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/check"
	"mailwhy/cmd/internal/config"
	"mailwhy/tui/cell"
)

// newCheck holds the checks of the vendor's article. rbl and dns ask the world;
// nothing else in the program does, and nothing asks by itself.
func newCheck(s *session) *cobra.Command {
	c := &cobra.Command{Use: "check", Short: "ask DNS about an address or a domain; count what was sent and who failed to sign in"}
	var resolver string
	c.PersistentFlags().StringVar(&resolver, "resolver", "", "DNS server, host or host:port (default: dns_resolver, else the system's)")
	c.AddCommand(newCheckList(s, &resolver), newCheckDomain(s, &resolver), newCheckVolume(s), newCheckAuth(s))
	return c
}

func newCheckList(s *session, resolver *string) *cobra.Command {
	var zones []string
	var own bool
	c := s.addJSON(&cobra.Command{
		Use:   "rbl [IP...]",
		Short: "does a block list name this client? 0 = one does, 1 = none",
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := s.configuration()
			if err != nil {
				return err
			}
			clients, err := clientsOf(args, own, conf)
			if err != nil {
				return err
			}
			if len(zones) == 0 {
				zones = conf.RBLZones
			}
			if len(zones) == 0 {
				return errors.New("no block list is named: give --zone, or rbl_zones in the configuration")
			}
			r := &check.Resolver{Server: cmp.Or(*resolver, conf.DNSResolver), Now: s.now}
			var listings []check.Listing
			for _, client := range clients {
				listings = append(listings, r.BlockLists(c.Context(), client, zones)...)
			}
			return s.printListings(listings)
		},
	})
	c.Flags().StringSliceVar(&zones, "zone", nil, "block list to ask, several allowed (default: rbl_zones)")
	c.Flags().BoolVar(&own, "own", false, "ask about our own addresses: outbound_ips of the configuration")
	return c
}

func clientsOf(args []string, own bool, conf config.Config) ([]netip.Addr, error) {
	if own {
		args = append(slices.Clone(args), conf.OutboundIPs...)
	}
	if len(args) == 0 {
		return nil, errors.New("name an address, or write outbound_ips into the configuration and ask with --own")
	}
	var clients []netip.Addr
	for _, arg := range args {
		client, err := check.Client(arg)
		if err != nil {
			return nil, fmt.Errorf("%q is no IP address", arg)
		}
		clients = append(clients, client)
	}
	return clients, nil
}

func (s *session) printListings(listings []check.Listing) error {
	listed, answered := false, false
	for _, l := range listings {
		listed = listed || l.Result == check.Listed
		answered = answered || l.Result != check.NoAnswer
		var err error
		if s.json {
			err = s.printJSON(s.stdout, l)
		} else {
			words := strings.Join(l.Codes, " ") + " " + cell.Clean(l.Reason+l.Detail)
			_, err = fmt.Fprintf(s.stdout, "%-15s  %-10s  %s  %s\n", l.Client, strings.ReplaceAll(l.Result, "_", " "), l.Zone, strings.TrimSpace(words))
		}
		if err != nil {
			return err
		}
	}
	switch {
	case !answered:
		return errors.New("no block list answered: check the resolver and the network")
	case !listed:
		return errNothing
	}
	return nil
}

func newCheckDomain(s *session, resolver *string) *cobra.Command {
	var selectors []string
	c := s.addJSON(&cobra.Command{
		Use:   "dns DOMAIN",
		Short: "what a domain publishes: MX with PTR, SPF, DMARC, DKIM keys",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := s.configuration()
			if err != nil {
				return err
			}
			if len(selectors) == 0 {
				selectors = conf.DKIMSelectors
			}
			_, domain, hasAt := strings.Cut(args[0], "@")
			if !hasAt {
				domain = args[0]
			}
			r := &check.Resolver{Server: cmp.Or(*resolver, conf.DNSResolver), Now: s.now}
			return s.printDomain(r.Domain(c.Context(), domain, selectors))
		},
	})
	c.Flags().StringSliceVar(&selectors, "selector", nil, "DKIM selector to ask for, several allowed (default: dkim_selectors)")
	return c
}

func (s *session) printDomain(d check.Domain) error {
	if s.json {
		if err := s.printJSON(s.stdout, d); err != nil {
			return err
		}
	} else if _, err := fmt.Fprint(s.stdout, plain(domainText(d))); err != nil {
		return err
	}
	switch {
	case d.Exists():
		return nil
	case len(d.Faults) > 0:
		return errors.New("nothing could be asked about " + d.Domain)
	}
	return errNothing
}

func domainText(d check.Domain) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  asked %s\n", cell.Clean(d.Domain), d.AskedAt.Format("2006-01-02 15:04:05 UTC"))
	if d.NullMX {
		b.WriteString("MX      none: the domain takes no mail (RFC 7505)\n")
	}
	for _, mx := range d.MX {
		fmt.Fprintf(&b, "MX      %d %s\n", mx.Preference, cell.Clean(mx.Host))
		for _, a := range mx.Addresses {
			confirmed := "no name leads back to it"
			if a.Confirmed {
				confirmed = "confirmed"
			}
			fmt.Fprintf(&b, "        %s %s (%s)\n", a.IP, cell.Clean(strings.Join(a.Names, " ")), confirmed)
		}
	}
	record := func(name string, r check.Record) {
		fmt.Fprintf(&b, "%-7s %s at %s %s\n", name, r.Result, cell.Clean(r.Name), cell.Clean(r.Text))
		for _, problem := range r.Problems {
			fmt.Fprintf(&b, "        %s\n", problem)
		}
	}
	record("SPF", d.SPF)
	record("DMARC", d.DMARC)
	for _, key := range d.DKIM {
		record("DKIM", key)
	}
	for _, fault := range d.Faults {
		fmt.Fprintf(&b, "not asked: %s\n", cell.Clean(fault))
	}
	return b.String()
}
