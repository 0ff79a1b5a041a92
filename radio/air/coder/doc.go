// Package coder makes short texts shorter: a message of a few words takes a
// third of its bytes, a tenth in scripts of three bytes a letter. It is pure
// but for the memory it keeps.
//
// A text is written as a row of yes-no questions, each with the probability of
// its answer, into one number (arithmetic coding). The probabilities come from
// models that have read a prime, some 60 kB of typical texts of the language, and
// that learn from the text at hand; after each text they forget it. Sender and
// receiver must ask the same questions and expect the same answers, so all
// arithmetic is of integers, and the primes, the alphabets and every constant
// here are part of the format. A stream is
//
//	0 to 5   3 bits   the language; then the text
//	6        3 bits   and 5 of the language: the long form
//	7        3 bits   and 5 zeros: the text's bytes follow as they are
//
// and nothing says where it ends: its length must be known, and helps. Only
// where a stream is nearly used up does its reader ask, after each character,
// whether the text is over; that takes 2 % fewer bytes than a sign for the end
// among the characters. The long form asks everywhere, for the rare text whose
// stream cannot end at a byte otherwise.
//
// docs/PROTOCOL.md has all of it, for other implementations, and
// testdata/vectors.txt streams to try them on.
package coder
