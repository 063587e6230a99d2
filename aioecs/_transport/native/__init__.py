"""The native transport: requests encoded, signed and sent on connections of our own."""
