package mesh

import "testing"

func TestParseDoorLink(t *testing.T) {
	for text, want := range map[string]string{
		"http://192.168.1.10:3739":    "http://192.168.1.10:3739",
		" HTTP://192.168.1.10:3739/ ": "http://192.168.1.10:3739",
		"https://school.example":      "https://school.example:443",
		"http://[2001:db8::1]:3739/":  "http://[2001:db8::1]:3739",
	} {
		e, err := ParseDoorLink(text)
		if err != nil || e.String() != want {
			t.Errorf("ParseDoorLink(%q) = %v, %v, want %s", text, e, err, want)
		}
		if again, err := ParseDoorLink(PhoneLink(e)); err != nil || again != e {
			t.Errorf("its phone link %s is read as %v, %v", PhoneLink(e), again, err)
		}
	}
	for _, text := range []string{"", "192.168.1.10:3739", "http://", "tls://192.168.1.10:3740", "http://a.example/J/ABC", "http://a.example/?x=1", "http://u@a.example/", "http://224.0.0.1/"} {
		if e, err := ParseDoorLink(text); err == nil {
			t.Errorf("ParseDoorLink(%q) = %v, want an error", text, e)
		}
	}
}

// FuzzDoorLink checks that whatever is read is written back as something that
// is read the same.
func FuzzDoorLink(f *testing.F) {
	for _, s := range []string{"http://192.168.1.10:3739/", "HTTPS://SCHOOL.EXAMPLE", "http://[2001:db8::1]:80", "http://a@b/", "tls://1.2.3.4:5", "http://1.2.3.4:0/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseDoorLink(s)
		if err != nil {
			return
		}
		if again, err := ParseDoorLink(PhoneLink(e)); err != nil || again != e {
			t.Errorf("%q is read as %v, and its link as %v, %v", s, e, again, err)
		}
	})
}
