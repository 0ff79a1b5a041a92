package mesh

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fold writes a text as searches compare it: in small letters, without the
// accents of Latin, Greek and Cyrillic letters and the vowel signs of Arabic and
// Hebrew, full-width forms as ASCII. Marks of other scripts, which make other
// words, stay. A text folded twice is a text folded once.
func Fold(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r |= 0x20
			}
			b.WriteByte(byte(r))
			continue
		}
		if silent(r) {
			continue
		}
		if 0xff01 <= r && r <= 0xff5e { // full-width forms
			r -= 0xff01 - '!'
		}
		r = unicode.ToLower(r)
		if as, ok := folds[r]; ok {
			b.WriteString(as)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// silent reports whether a rune is left out: combining accents, the vowel signs
// of Arabic and Hebrew, the Arabic stretch, joiners and selectors.
func silent(r rune) bool {
	switch {
	case 0x0300 <= r && r <= 0x036f,
		0x0591 <= r && r <= 0x05bd, r == 0x05bf, r == 0x05c1, r == 0x05c2, r == 0x05c4, r == 0x05c5, r == 0x05c7,
		0x0610 <= r && r <= 0x061a, r == 0x0640, 0x064b <= r && r <= 0x065f, r == 0x0670, 0x06d6 <= r && r <= 0x06dc,
		r == 0x00ad, 0x200b <= r && r <= 0x200f, r == 0x2060, 0xfe00 <= r && r <= 0xfe0f, r == 0xfeff:
		return true
	}
	return false
}

// folds says as what a small letter counts.
var folds = foldTable()

// foldTable reads groups of letters: the first of each is what the others count
// as.
func foldTable() map[rune]string {
	const groups = `
a àáâãäåāăąǎǟǡǻȁȃȧạảấầẩẫậắằẳẵặḁẚ
b ḃḅḇ
c çćĉċčḉ
d ďđḋḍḏḑḓ
e èéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệ
f ḟ
g ĝğġģǧǵḡ
h ĥħȟḣḥḧḩḫẖ
i ìíîïĩīĭįıǐȉȋḭḯỉị
j ĵǰ
k ķǩḱḳḵ
l ĺļľŀłḷḹḻḽ
m ḿṁṃ
n ñńņňŉǹṅṇṉṋ
o òóôõöøōŏőơǒǫǭǿȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợ
p ṕṗ
r ŕŗřȑȓṙṛṝṟ
s śŝşšșṡṣṥṧṩſẛ
t ţťŧțṫṭṯṱẗ
u ùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự
v ṽṿ
w ŵẁẃẅẇẉẘ
x ẋẍ
y ýÿŷȳẏẙỳỵỷỹ
z źżžẑẓẕ
ae æǽǣ
oe œ
ss ß
th þ
α άἀἁἂἃἄἅἆἇὰάᾀᾁᾂᾃᾄᾅᾆᾇᾰᾱᾲᾳᾴᾶᾷ
ε έἐἑἒἓἔἕὲέ
η ήἠἡἢἣἤἥἦἧὴήᾐᾑᾒᾓᾔᾕᾖᾗῂῃῄῆῇ
ι ίϊΐἰἱἲἳἴἵἶἷὶίῐῑῒΐῖῗ
ο όὀὁὂὃὄὅὸό
ρ ῤῥ
σ ς
υ ύϋΰὐὑὒὓὔὕὖὗὺύῠῡῢΰῦῧ
ω ώὠὡὢὣὤὥὦὧὼώᾠᾡᾢᾣᾤᾥᾦᾧῲῳῴῶῷ
а ӑӓ
е ѐёӗ
ж ӂӝ
з ӟ
и йѝӣӥ
к ќ
г ѓ
о ӧ
у ўӯӱӳ
ч ӵ
ы ӹ
э ӭ
і ї
ا أإآٱ
ي ى
ه ة
`
	folds := make(map[rune]string)
	for line := range strings.Lines(groups) {
		as, letters, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, r := range letters {
			folds[r] = as
		}
	}
	return folds
}
