package mail

// Why something that was sealed was not taken.
const (
	whyForged = "forged"      // a seal that proves nothing
	whyOther  = "not for us"  // addressed to this node, sealed for another key
	whyForm   = "form"        // a letter, a part of a bundle that nobody could have written
	whyMost   = "no room"     // of unfinished bundles, of receipts that wait
	whyWriter = "not members" // receipts are for members only
)

// refused counts by these reasons, the ones that did not occur too.
func (m *Mail) refused() map[string]uint64 {
	return m.tally.All(whyForged, whyOther, whyForm, whyMost, whyWriter)
}
