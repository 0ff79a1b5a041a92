package coder

import "unicode/utf8"

// A symbol is what the model predicts: a character of the language's alphabet,
// capitals as small letters, or one of the two below.
type symbol = uint8

const (
	end            symbol = iota // the text is over
	escape                       // a character outside the alphabet follows
	firstCharacter               // symbols from here on are characters
)

// A class groups symbols, for contexts that look at the shape of a text.
type class = uint8

const (
	classEnd class = iota
	classLine
	classSpace
	classMark // punctuation, signs, pictures
	classDigit
	classLetter
	classOther // escaped
)

// An alphabet is the characters that a language's model has symbols for, at
// most 254. Which character has which symbol is part of the format.
type alphabet struct {
	bytewise bool // a symbol for every byte that is no ASCII capital: takes any text
	size     int  // symbols in use
	char     [256]rune
	upper    [256]rune // the capital of a symbol that has one, else 0
	class    [256]class
	syllable [256]uint8 // 1 begins a Burmese syllable, 2 takes the letter before into the last one
	symbols  map[rune]symbol
	capitals map[rune]symbol
}

// The characters, in groups. Letters with capitals stand in pairs.
const (
	marks    = "\n \t.,!?:;-()'\"/&@#%+=*_~^|<>[]{}\\$`"
	digits   = "0123456789"
	ascii    = "eEaAoOiIuUyYtTnNsSrRhHlLdDcCmMpPfFgGbBwWvVkKjJxXqQzZ"
	typeset  = "’‘“”„«»–—…•°€£№₴·×"
	pictures = "😂😊🙏👍❤\uFE0F😍🎉😢😭🔥👋🙂💪✅⚠"
	latin    = "áÁéÉíÍóÓúÚüÜñÑàÀâÂäÄãÃåÅæÆçÇèÈêÊëËìÌîÎïÏòÒôÔöÖõÕøØœŒùÙûÛýÝąĄćĆęĘłŁńŃśŚźŹżŻčČďĎěĚňŇřŘšŠťŤůŮžŽğĞşŞőŐűŰăĂșȘțȚāĀēĒīĪūŪđĐ"
	cyrillic = "аАеЕєЄиИіІїЇоОуУюЮяЯбБвВгГґҐдДжЖзЗйЙкКлЛмМнНпПрРсСтТфФхХцЦчЧшШщЩьЬъЪыЫэЭёЁўЎјЈљЉњЊћЋџЏђЂѓЃќЌѕЅ"
	arabic   = "اأإآىويءئؤةهبتثجحخدذرزسشصضطظعغفقكلمنپچژکگیہےۀەڕڵۆێڤٹڈڑںھ"
	arabic2  = "ـًٌٍَُِّْٰ،؛؟٪٫٬٠١٢٣٤٥٦٧٨٩\u200f\u200e\u200c"
)

// alphabetOf is a language's alphabet.
func alphabetOf(l Language) *alphabet {
	a := &alphabet{symbols: map[rune]symbol{}, capitals: map[rune]symbol{}, size: int(firstCharacter)}
	a.class[end], a.class[escape] = classEnd, classOther
	if l == Universal {
		a.bytewise, a.size = true, 256
		for b := range 256 {
			a.class[b], a.char[b] = classLetter, rune(b)
		}
		for b := range byte(firstCharacter) { // where capitals are not needed
			a.char[fromByte(b)] = rune(b)
		}
		a.class[end], a.class[escape] = classEnd, classOther
		a.reclass(marks, classMark)
		a.reclass(digits, classDigit)
		for b := 'a'; b <= 'z'; b++ {
			a.upper[b] = b - 'a' + 'A'
		}
		a.reclass(" \t", classSpace)
		a.reclass("\n", classLine)
		return a
	}
	a.add(marks, classMark)
	a.add(digits, classDigit)
	switch l {
	case English, Spanish:
		a.add(typeset+pictures+"¿¡", classMark)
		a.addPairs(ascii)
		a.addPairs(latin)
		a.add("ßªº", classLetter)
	case Ukrainian:
		a.add(typeset+pictures, classMark)
		a.add("ʼ", classLetter)
		a.addPairs(cyrillic)
		a.addPairs(ascii)
	case Arabic:
		a.add(typeset+pictures, classMark)
		a.add(arabic2, classMark)
		a.add(arabic, classLetter)
		a.addPairs(ascii)
	case Burmese:
		a.add("’“”–—…🙏👍😂❤\uFE0F\u200b", classMark)
		for c := rune(0x1000); c < 0x10a0; c++ {
			k := classLetter
			switch {
			case c >= 0x1040 && c <= 0x1049, c >= 0x1090 && c <= 0x1099:
				k = classDigit
			case c == 0x104a || c == 0x104b:
				k = classMark
			}
			a.add(string(c), k)
			s := a.symbols[c]
			switch {
			case c <= 0x102a || c == 0x103f || c == 0x104e:
				a.syllable[s] = 1
			case c == 0x103a || c == 0x1039:
				a.syllable[s] = 2
			}
		}
		a.addPairs(ascii)
	}
	a.reclass(" \t", classSpace)
	a.reclass("\n", classLine)
	return a
}

func (a *alphabet) add(chars string, k class) {
	for _, c := range chars {
		if _, again := a.symbols[c]; again || a.size == 256 {
			panic("coder: alphabet: " + string(c))
		}
		s := symbol(a.size)
		a.size++
		a.char[s], a.class[s], a.symbols[c] = c, k, s
	}
}

func (a *alphabet) addPairs(chars string) {
	for len(chars) > 0 {
		small, n := utf8.DecodeRuneInString(chars)
		capital, m := utf8.DecodeRuneInString(chars[n:])
		chars = chars[n+m:]
		a.add(string(small), classLetter)
		s := a.symbols[small]
		a.upper[s], a.capitals[capital] = capital, s
	}
}

func (a *alphabet) reclass(chars string, k class) {
	for _, c := range chars {
		if a.bytewise {
			a.class[c] = k
		} else {
			a.class[a.symbols[c]] = k
		}
	}
}

// split cuts the text's next character off: its symbol, 1 for a
// capital, and how many bytes it has, 0 when it cannot be written.
func (a *alphabet) split(text []byte) (s symbol, capital, n int) {
	if a.bytewise {
		b := text[0]
		if b >= 'A' && b <= 'Z' {
			return b + 'a' - 'A', 1, 1
		}
		return fromByte(b), 0, 1
	}
	r, n := utf8.DecodeRune(text)
	if r == utf8.RuneError && n == 1 {
		return 0, 0, 0
	}
	if s, ok := a.symbols[r]; ok {
		return s, 0, n
	}
	if s, ok := a.capitals[r]; ok {
		return s, 1, n
	}
	return escape, 0, n
}

// The bytewise alphabet needs no ASCII capitals, which make room for the two
// symbols that are no characters.
func fromByte(b byte) symbol {
	if b < firstCharacter {
		return 'A' + b
	}
	return b
}
