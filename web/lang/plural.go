package lang

// A category is a plural form in the words of CLDR.
type category string

const (
	zero  category = "zero"
	one   category = "one"
	two   category = "two"
	few   category = "few"
	many  category = "many"
	other category = "other"
)

// A rule chooses a plural form for a whole number.
type rule struct {
	categories []category
	choose     func(n int) category
}

// rules are the families of CLDR's cardinal rules for whole numbers. A
// language's file names one of them:
//
//	none       Chinese, Japanese, Turkish in lists, Vietnamese …
//	one        English, German, Spanish, Italian, Greek, Hindi …
//	zero-one   French, Portuguese of Brazil, Farsi …
//	slavic     Ukrainian, Russian, Belarusian, Serbian, Croatian
//	czech      Czech, Slovak
//	polish     Polish
//	romanian   Romanian
//	arabic     Arabic
var rules = map[string]rule{
	"none":     {[]category{other}, func(int) category { return other }},
	"one":      {[]category{one, other}, chooseOne},
	"zero-one": {[]category{one, other}, chooseZeroOne},
	"slavic":   {[]category{one, few, many}, chooseSlavic},
	"czech":    {[]category{one, few, other}, chooseCzech},
	"polish":   {[]category{one, few, many}, choosePolish},
	"romanian": {[]category{one, few, other}, chooseRomanian},
	"arabic":   {[]category{zero, one, two, few, many, other}, chooseArabic},
}

func chooseOne(n int) category {
	if n == 1 {
		return one
	}
	return other
}

func chooseZeroOne(n int) category {
	if n == 0 || n == 1 {
		return one
	}
	return other
}

func chooseSlavic(n int) category {
	tens, units := n%100, n%10
	switch {
	case units == 1 && tens != 11:
		return one
	case units >= 2 && units <= 4 && (tens < 12 || tens > 14):
		return few
	}
	return many
}

func chooseCzech(n int) category {
	switch {
	case n == 1:
		return one
	case n >= 2 && n <= 4:
		return few
	}
	return other
}

func choosePolish(n int) category {
	tens, units := n%100, n%10
	switch {
	case n == 1:
		return one
	case units >= 2 && units <= 4 && (tens < 12 || tens > 14):
		return few
	}
	return many
}

func chooseRomanian(n int) category {
	switch {
	case n == 1:
		return one
	case n == 0 || n%100 >= 1 && n%100 <= 19:
		return few
	}
	return other
}

func chooseArabic(n int) category {
	switch tens := n % 100; {
	case n == 0:
		return zero
	case n == 1:
		return one
	case n == 2:
		return two
	case tens >= 3 && tens <= 10:
		return few
	case tens >= 11:
		return many
	}
	return other
}
