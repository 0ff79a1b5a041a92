package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"drey/mesh"
	"drey/mesh/roster"
	"drey/overlay"
	"drey/web"
	"drey/web/lang"
)

// usualOverlap is how long a replaced secret is listened for where nothing
// else is said: machines that were away come back within a week.
const usualOverlap = 7 * 24 * time.Hour

// A person is whom a decision is about: a member, one who was, or one who asks.
type person struct {
	member  roster.Member   // of one on the roster, or who was
	request *roster.Request // of one who asks
	author  mesh.PubKey
	node    mesh.NodeKey // zero for one without a machine
	name    string
}

func (w *person) subject() roster.Subject { return roster.Subject{Author: w.author, Node: w.node} }

func (w *person) label() string { return cmp.Or(w.name, w.author.NPub()) }

// ChangeMembers decides who belongs, in this node's name.
func (a api) ChangeMembers(ctx context.Context, c web.MemberChange) (*web.MemberChanged, error) {
	if a.membership.Community.Open {
		return nil, web.NewError(web.CodeRefused, "an open community has no roster", "everybody who knows its name belongs", "block an author on your own machine, or found a community of your own", nil)
	}
	if s := a.book.Standing(a.who.Author.PubKey(), a.clock()); s < mesh.Admin {
		return nil, web.NewError(web.CodeForbidden, "this node may not decide who belongs", "it is a "+s.String()+", and admins do", "do it on an admin's machine: 'drey members ls' shows who that is", nil)
	}
	if c.Op == web.OpRotate {
		return a.rotate(ctx, c)
	}
	who, err := a.findPerson(c.Who)
	if err != nil {
		return nil, err
	}
	changed := &web.MemberChanged{Member: a.describe(who)}
	var drafts []func() (mesh.Draft, error)
	if c.Op == web.OpAdmit {
		drafts, err = a.admission(c, who, changed)
	} else {
		drafts, err = a.revocation(c, who, changed)
	}
	changed.Effects = allEnglish(changed.Said)
	if err != nil || c.Preview || len(drafts) == 0 {
		return changed, err
	}
	for _, draft := range drafts { // one after the other: each names the one before
		d, err := draft()
		if err != nil {
			return nil, web.NewError(web.CodeRefused, "not decided", err.Error(), "", err)
		}
		if _, err := a.say(ctx, mesh.TopicRegistry, d); err != nil {
			return nil, err
		}
	}
	changed.Done = true
	return changed, nil
}

// now is the time as a decision carries it.
func (p *parts) now() mesh.Unix { return mesh.UnixOf(p.clock()) }

// admission drafts what lets somebody in.
func (a api) admission(c web.MemberChange, who *person, changed *web.MemberChanged) (drafts []func() (mesh.Draft, error), err error) {
	effect := func(key string, args ...any) { changed.Said = append(changed.Said, lang.Say(key, args...)) }
	standing := a.book.Standing(who.author, a.clock())
	banned := a.book.Banned(who.node, who.author)
	switch {
	case banned && !c.Lift:
		return nil, web.NewError(web.CodeRefused, who.label()+" is banned", cmp.Or(who.member.Reason, "no reason was given"), "drey members admit --lift "+c.Who, nil)
	case standing.Member():
		if !c.Admin || standing >= mesh.Admin {
			effect("effects.already", "who", who.label(), "standing", standingPhrase(standing))
			return nil, nil
		}
	case who.request != nil:
		r := who.request
		drafts = append(drafts, func() (mesh.Draft, error) { return a.book.DraftAdmit(r.Record, r.Binding, who.name, a.now()) })
		effect("effects.machine", "who", who.label())
	case who.member.Decision != (mesh.EventID{}):
		drafts = append(drafts, func() (mesh.Draft, error) { return a.book.DraftReadmit(who.subject(), a.now()) })
		if banned {
			effect("effects.lift", "who", who.label())
		}
		effect("effects.again", "who", who.label())
	default:
		name := cmp.Or(c.Name, a.nameOf(who.author))
		if name == "" {
			return nil, web.NewError(web.CodeUsage, "this person has no name yet", "", "add --name NAME", nil)
		}
		drafts = append(drafts, func() (mesh.Draft, error) { return a.book.DraftAdmitPerson(who.author, name, a.now()) })
		effect("effects.person", "who", name)
	}
	if c.Admin && standing < mesh.Admin {
		drafts = append(drafts, func() (mesh.Draft, error) { return a.book.DraftPromote(who.author, a.now()), nil })
		effect("effects.admin", "who", who.label())
	}
	return drafts, nil
}

// revocation drafts what takes something from somebody.
func (a api) revocation(c web.MemberChange, who *person, changed *web.MemberChanged) ([]func() (mesh.Draft, error), error) {
	effect := func(key string, args ...any) { changed.Said = append(changed.Said, lang.Say(key, args...)) }
	standing := a.book.Standing(who.author, a.clock())
	switch {
	case who.author == a.membership.Community.Founder:
		return nil, web.NewError(web.CodeForbidden, map[string]string{web.OpDemote: "the founder cannot be demoted", web.OpRemove: "the founder cannot be removed", web.OpBan: "the founder cannot be banned"}[c.Op],
			"everything about belonging follows from the founder", "if the founder's machine is lost, found a new community", nil)
	case who.node == a.who.NodeKey():
		return nil, web.NewError(web.CodeRefused, "this is the machine you are at", "", "do it on another admin's machine; to leave, accept an invite elsewhere with 'drey join --leave'", nil)
	case c.Op == web.OpDemote && standing < mesh.Admin:
		effect("effects.no-admin", "who", who.label(), "standing", standingPhrase(standing))
		return nil, nil
	case c.Op == web.OpRemove && !standing.Member():
		effect("effects.no-member", "who", who.label())
		return nil, nil
	case c.Op == web.OpBan && a.book.Banned(who.node, who.author):
		effect("effects.banned", "who", who.label())
		return nil, nil
	}
	if len(c.Reason) > 256 {
		return nil, web.NewError(web.CodeUsage, fmt.Sprintf("the reason has %d bytes, limit 256", len(c.Reason)), "", "say it shorter", nil)
	}
	if c.Op == web.OpDemote {
		effect("effects.demote", "who", who.label())
		effect("effects.demote-late")
		return []func() (mesh.Draft, error){func() (mesh.Draft, error) { return a.book.DraftDemote(who.author, a.now()), nil }}, nil
	}
	draft := a.book.DraftRemove
	if c.Op == web.OpBan {
		draft = a.book.DraftBan
	}
	effect("effects.removed", "who", who.label())
	if c.Op == web.OpBan {
		effect("effects.ban")
	} else {
		effect("effects.return")
	}
	if standing >= mesh.Admin {
		effect("effects.was-admin")
	}
	if who.node != (mesh.NodeKey{}) {
		effect("effects.secret")
	}
	return []func() (mesh.Draft, error){func() (mesh.Draft, error) { return draft(who.subject(), c.Reason, a.now()) }}, nil
}

// standingPhrase is what somebody is to the community, in words.
func standingPhrase(s mesh.Standing) lang.Phrase { return lang.Say("effects.standing-" + s.String()) }

// rotate makes a new secret for the machines that belong.
func (a api) rotate(ctx context.Context, c web.MemberChange) (*web.MemberChanged, error) {
	overlap := usualOverlap
	if c.OverlapMS != nil {
		overlap = time.Duration(*c.OverlapMS) * time.Millisecond
	}
	if overlap < 0 || overlap > roster.MaxOverlap {
		return nil, web.NewError(web.CodeUsage, fmt.Sprintf("an overlap of %s is not possible", short(overlap)), "allowed is up to 30 days", "", nil)
	}
	nodes := a.book.Nodes()
	left := lang.Say("effects.overlap", "span", overlap.Round(time.Hour))
	if overlap < time.Hour {
		left = lang.Say("effects.overlap-none")
	}
	changed := &web.MemberChanged{Said: []lang.Phrase{lang.Say("effects.rotate", "n", len(nodes)), left, lang.Say("effects.handhelds")}}
	changed.Effects = allEnglish(changed.Said)
	if c.Preview {
		return changed, nil
	}
	var s mesh.Secret
	rand.Read(s[:]) // never fails since Go 1.24
	if err := a.keys.announce(ctx, s, nodes, overlap); err != nil {
		return nil, err
	}
	if err := a.keys.settle(ctx, 0); err != nil {
		return nil, err
	}
	changed.Done = true
	return changed, nil
}

// describe shows whom a decision is about.
func (a api) describe(who *person) *web.Member {
	m := &web.Member{Name: who.name, NPub: who.author.NPub(), Standing: a.book.Standing(who.author, a.clock()).String(), Since: int64(who.member.Since)}
	if who.request != nil {
		m.Standing, m.Since = web.StandingWaiting, int64(who.request.At)
	}
	if who.node != (mesh.NodeKey{}) {
		m.Node, m.Address, m.Self = who.node.String(), overlayAddress(who.node), who.node == a.who.NodeKey()
	}
	return m
}

// findPerson finds who is meant by an npub, a name, a node's key or address.
// What can be one of the others is no name: anybody may ask to belong under any.
func (a api) findPerson(text string) (*person, error) {
	var found []*person
	author, authorErr := mesh.ParseAuthor(text)
	node, nodeErr := mesh.ParseNodeKey(strings.ToLower(text))
	at, addrErr := netip.ParseAddr(text)
	named := authorErr != nil && nodeErr != nil && addrErr != nil
	means := func(w *person) bool {
		return authorErr == nil && w.author == author || nodeErr == nil && w.node == node ||
			addrErr == nil && w.node != (mesh.NodeKey{}) && overlay.AddressOf(w.node) == at || named && strings.EqualFold(w.name, text)
	}
	for _, m := range a.book.Members() {
		if w := (&person{member: m, author: m.Author, node: m.Node, name: m.Name}); means(w) {
			found = append(found, w)
		}
	}
	for _, r := range a.book.Requests(a.clock()) {
		if w := (&person{request: &r, author: r.Record.Author, node: r.Record.Node, name: r.Name}); means(w) {
			found = append(found, w)
		}
	}
	if exact := slices.DeleteFunc(slices.Clone(found), func(w *person) bool { return w.name != text }); len(found) > 1 && len(exact) == 1 {
		found = exact
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var keys []string
		for _, w := range found {
			keys = append(keys, w.author.NPub())
		}
		slices.Sort(keys)
		if keys = slices.Compact(keys); len(keys) == 1 {
			found[0].node = mesh.NodeKey{} // all machines of one author
			return found[0], nil
		}
		return nil, web.NewError(web.CodeUsage, fmt.Sprintf("%d are called %.64q", len(found), text), strings.Join(keys, " "), "name the one you mean by its npub", nil)
	case authorErr == nil:
		return a.former(roster.Subject{Author: author}), nil
	case nodeErr == nil:
		if w := a.former(roster.Subject{Node: node}); w.author != (mesh.PubKey{}) {
			return w, nil
		}
	}
	return nil, web.NewError(web.CodeNotFound, fmt.Sprintf("nobody here is called %.64q", text), "",
		"'drey members ls' lists who belongs and who asks; a person's npub may be anybody's", nil)
}

// former finds one who belonged, or knows nothing but the key.
func (a api) former(s roster.Subject) *person {
	s = a.book.SubjectOf(s)
	w := &person{author: s.Author, node: s.Node, name: a.nameOf(s.Author)}
	if d, err := a.book.DraftReadmit(s, 0); err == nil {
		w.member.Decision = mesh.EventID{1} // there is an admission to repeat
		for _, t := range d.Tags {
			if t[0] == "name" {
				w.name = t[1]
			}
		}
	} else if !errors.Is(err, mesh.ErrNotFound) {
		a.log.Warn("roster", "err", err)
	}
	return w
}
