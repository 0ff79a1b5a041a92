// Package nostrbridge is the carrier "nostr": what a community says in some
// topics goes to public Nostr relays, and what its people say there comes in.
//
// # Who carries
//
// Every gateway is owed every event for every relay of its list. One of them
// sends: the leader of the topic at that relay. Gateways tell each other what
// they can do and what relays have, in words of kind 23741, ephemeral, in the
// topic "registry", with empty content and these tags:
//
//	["relay", URL, SECONDS]  it can write there, and could for so long; one for each relay
//	["out", TOPIC, …]        topics that it carries
//	["on", URL, ID, …]       the relay has these events
//	["no", URL, ID, REASON]  the relay has refused this event for good
//	["in", ID, …]            these events come from relays, and follow at once
//	["alone"]                it hears no other gateway: whoever is there, say so
//
// Addresses are written as package pool normalises them. A word holds at most
// 32 relays, 512 topics and 128 events; whatever else is in it is left to later
// versions, and what this text does not allow makes the whole word void. Words
// of machines on the roster count. In an open community everybody can say them:
// there they decide who carries, what they say that a relay has is asked for
// within a minute, and "no" and "in" count for nothing; mail, which does not
// travel there, each gateway carries itself. Who sees there that what
// is next has not gone for a minute, under another's lead, takes the lead for an
// hour and asks before each event: a liar delays, and silences nobody.
//
// A word is said every 20 s, within 2 s when there is something to tell, and
// every 3 s while a gateway that has just begun hears no other, and only every
// 5 min while it can write to no relay. The leader is
// the gateway with the highest
//
//	SHA-256("drey/1/gateway" ‖ 0x00 ‖ author ‖ relay's URL ‖ 0x00 ‖ topic)
//
// of those that can write to the relay, carry the topic, and were heard within
// 45 s. Two must not act at one time, so a colleague is given the lead when it
// has been ready for 15 s, and takes it after 20 s; who hears of no other takes it
// after 5 s. A relay that is away for less than 30 s counts as ready.
//
// # Once
//
// The event has one name, so a relay keeps it once whatever happens. That it is
// also sent only once, the bridge sees to by asking: before an event goes whose
// fate is not known (it was tried before, came before the lead did, is history,
// or entered by another gateway), the relay is asked for its id, and for those
// of the next that wait. An event that a word calls sent is not owed any more;
// what waits for a colleague for a minute or two is asked for too, as words get
// lost.
//
// # What leaves and what comes in
//
// Topics named in the configuration leave, without what guests say, orphans,
// protected events (NIP-70), what its sender keeps off the internet, and what
// also names a topic that does not leave. Never "registry" and "mail"; gift
// wraps go where package mail says. Lists of inbox relays (kind 10050) leave
// always: they are how others find the inbox.
//
// An event comes in when its first tag that names a topic names one that comes
// in, and its author is on the roster, or listed, or in_open is set. Who is not
// on the roster gets a pass marked "world". Before an event that is new enters,
// the gateway says so in a word: every node then keeps it off the air, as it
// does what holders of such passes say, and no gateway carries it out again.
// Where the event outruns the word, what is owed of it is withdrawn.
package nostrbridge
