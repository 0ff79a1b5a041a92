package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/mesh"
	"drey/nostrbridge/mail"
	"drey/web"
)

func (s *session) dmCommand() *cobra.Command {
	var (
		p       web.MailPost
		also    []string
		file    string
		wait    string
		timeout string
		asJSON  bool
	)
	c := &cobra.Command{
		Use:   "dm NPUB|NAME [TEXT|-]",
		Short: "write to one or several people in private",
		Long: "dm seals a text for its readers alone (NIP-17) and returns when it is on disk, or, with\n" +
			"--wait acknowledged, when each reader's own device has opened it. It goes by every way that\n" +
			"there is; who is away gets it later. NAME is a member's name, as 'drey members ls' shows it.\n" +
			"To an NPUB that is no member it goes by a gateway, to the public relays of that person's list\n" +
			"(kind 10050); the members' machines that keep mail see to whom you write, not what.\n" +
			"It prints the message's id; 'drey log ID' tells what became of it.",
		Args: cobra.RangeArgs(1, 2),
		PreRunE: func(_ *cobra.Command, args []string) error {
			d, err := configs.ParseDuration(timeout)
			if err != nil {
				return usagef("--timeout: %w", err)
			}
			p.TimeoutMS, p.Wait = d.Milliseconds(), web.Wait(wait)
			switch {
			case p.Wait != web.WaitSaved && p.Wait != web.WaitAcknowledged:
				return usagef("--wait %s: there are saved and acknowledged", wait)
			case file != "" && len(args) > 1:
				return usagef("a message has a text or --file, not both: send two")
			}
			return nil
		},
		RunE: s.withNode(func(ctx context.Context, c *web.Client, args []string) (err error) {
			p.To = append([]string{args[0]}, also...)
			if file != "" {
				p.File, err = s.payload(file)
			} else {
				p.Text, err = s.text(args[1:])
			}
			if err != nil {
				return err
			}
			m, err := c.SendMail(ctx, p)
			if err != nil {
				return err
			}
			if asJSON {
				err = s.printJSON(m)
			} else {
				_, err = fmt.Fprintln(s.out, m.ID)
				fmt.Fprintln(s.err, plain(m.State, false))
			}
			if err == nil && m.Outcome == web.TimedOut {
				err = failf(exitTimeout, "'drey log "+m.ID[:8]+"' tells how it goes on", "the message is saved, but not everybody has opened it yet")
			}
			return err
		}),
	}
	c.Flags().StringArrayVar(&also, "also", nil, "another `READER`; up to ten read one message together")
	c.Flags().StringVar(&p.Subject, "subject", "", "what the conversation is about")
	c.Flags().StringVar(&p.ReplyTo, "reply-to", "", "`ID` of the message that this one answers")
	c.Flags().StringVar(&file, "file", "", "send the `FILE` instead of a text: up to 64 kB; - is standard input")
	c.Flags().StringVar(&wait, "wait", string(web.WaitSaved), "how far it must come: saved or acknowledged")
	c.Flags().StringVar(&timeout, "timeout", "30s", "how long to wait for that")
	c.Flags().BoolVar(&asJSON, "json", false, "the message as JSON")
	return c
}

// payload reads a file that is to be sent.
func (s *session) payload(path string) (*web.MailFile, error) {
	f := &web.MailFile{Name: filepath.Base(path)}
	var in io.Reader = s.in
	if path == "-" {
		f.Name = ""
	} else {
		opened, err := os.Open(path)
		if err != nil {
			return nil, failf(exitNotFound, "", "%w", err)
		}
		defer opened.Close()
		in = opened
	}
	var err error
	if f.Bytes, err = io.ReadAll(io.LimitReader(in, mail.MaxBundle+1)); err != nil {
		return nil, err
	}
	if len(f.Bytes) == 0 || len(f.Bytes) > mail.MaxBundle {
		return nil, failf(exitError, "send it in parts", "a private file has 1 to %d bytes, and %s has %s", mail.MaxBundle, path, countOrMore(len(f.Bytes)))
	}
	f.Type = mime.TypeByExtension(filepath.Ext(path))
	return f, nil
}

func countOrMore(n int) string {
	if n > mail.MaxBundle {
		return "more"
	}
	return fmt.Sprint(n)
}

// saveFile writes the payload of a message to a file that is not there yet.
func (s *session) saveFile(ctx context.Context, c *web.Client, id, path string) error {
	m, err := s.mailNamed(ctx, c, id)
	if err != nil {
		return err
	}
	if m.File == nil {
		return failf(exitNotFound, "'drey inbox' shows which messages have one", "message %s has no file", id)
	}
	b, err := c.MailFile(ctx, m.ID)
	if err != nil {
		return err
	}
	if path == "-" {
		_, err := s.out.Write(b)
		return err
	}
	if path == "" {
		path = plainFileName(m.File.Name, m.ID)
	} else if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, plainFileName(m.File.Name, m.ID))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return failf(exitError, "name another with --output", "%w", err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	fmt.Fprintf(s.err, "%s, %d bytes\n", path, len(b))
	return nil
}

// plainFileName is the name under which a file is saved: its sender chose it, so
// it is no path, not hidden, and has no odd letters.
func plainFileName(name, id string) string {
	name = plain(filepath.Base(filepath.Clean("/"+name)), false)
	if name == "" || name == "/" || name[0] == '.' || name[0] == '-' {
		return "drey-" + id[:8]
	}
	return name
}

// mailNamed finds a private message by its id or the beginning of it.
func (s *session) mailNamed(ctx context.Context, c *web.Client, id string) (*web.MailMessage, error) {
	l, err := c.Log(ctx, id)
	if err != nil {
		return nil, err
	}
	if l.Mail == nil {
		return nil, failf(exitNotFound, "'drey inbox --json' lists ids", "%s is no private message that this node wrote or opened", id)
	}
	return l.Mail, nil
}

// mailLine shows a private message to a person.
func mailLine(m *web.MailMessage) string {
	readers := ""
	for i, r := range m.To {
		if i > 0 {
			readers += ", "
		}
		readers += readerName(r)
	}
	who := readerName(m.From)
	switch {
	case m.Out && len(m.To) == 0:
		who = "to yourself"
	case m.Out:
		who = "to " + readers
	case len(m.To) > 1:
		who += " (to " + readers + ")"
	}
	text := plain(m.Text, true)
	if m.Subject != "" {
		text = "[" + plain(m.Subject, false) + "] " + text
	}
	switch {
	case m.File != nil:
		name := plain(m.File.Name, false)
		if name == "" {
			name = "without a name"
		}
		text = fmt.Sprintf("(file %s, %d bytes: drey inbox --save %s)", name, m.File.Size, m.ID[:8])
	case m.Kind != mesh.KindPrivateNote:
		text = fmt.Sprintf("(kind %d) %s", m.Kind, text)
	}
	if m.Out {
		text += "  (" + m.State + ")"
	}
	return who + "  " + text
}

// readerName is what somebody is called; who is not of the community is marked.
func readerName(r web.MailReader) string {
	name := r.Name
	if name == "" {
		name = r.NPub[:min(12, len(r.NPub))]
	}
	if name = clip(plain(name, false)); !r.Member {
		name += "?"
	}
	return name
}
