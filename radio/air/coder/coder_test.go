package coder

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// nasty are texts that break coders.
var nasty = []string{
	"a", "\n", "\x00", "\x01", "A", "AB", "ab\x00\x01\x02C", "\n\n\n", " ", "ок", "မ", "لا", "ñ",
	"two\nlines", "trailing newline\n", "\xff", "\xff\xfe\xfd", "caf\xc3", "\xed\xa0\x80", "\ufeffbom", "\u2028", "DEL\x7f",
	"HTTPS://EXAMPLE.ORG/A?b=C%20d", "iPhone mAh kHz McDonald ÉCOLE école ÑANDÚ straße STRASSE ŸÿĀā",
	"Ελληνικά γράμματα", "हिन्दी में एक वाक्य", "中文测试", "日本語のテスト", "Ещё по-русски Ёж", "שלום", "ქართული", "አማርኛ", "ไทย",
	"🏳️‍🌈👨‍👩‍👧‍👦🇺🇦", "a\u0301e\u0308", "ȺȾ İı ǅ ß ẞ", "mixed عربي latin Кирилиця မြန်မာ 中文",
	`{"id":"wx-03","t":1763712345,"temp":-3.5}`, strings.Repeat("a", 3000), strings.Repeat("မြန်မာ ", 300), strings.Repeat("\n", 500), strings.Repeat("Ab", 1500),
}

func TestEveryTextComesBack(t *testing.T) {
	c := New()
	check := func(text []byte) {
		t.Helper()
		b := c.Encode(text)
		if len(b) > len(text)+1 {
			t.Errorf("%q grew from %d to %d bytes", text, len(text), len(b))
		}
		got, err := c.Decode(b, len(text))
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%q came back as %q: %v", text, got, err)
		}
		if len(text) > 0 {
			if _, err := c.Decode(b, len(text)-1); !errors.Is(err, ErrTooLong) {
				t.Errorf("%q with a limit one byte short: %v, want ErrTooLong", text, err)
			}
		}
		for l := range Language(languages) {
			b := c.encodeIn(l, text)
			if b == nil {
				continue
			}
			if got, err := c.Decode(b, len(text)); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%s: %q came back as %q: %v", l, text, got, err)
			}
		}
	}
	for _, s := range nasty {
		check([]byte(s))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		text := make([]byte, 1+n*3)
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		check(text)
	}
}
