package mesh

// KindGateway is ours: a gateway's word to its colleagues about public relays.
// It is ephemeral: the next one takes its place. Package nostrbridge reads it.
const KindGateway Kind = 23741
