package company

import "latchkey.dev/latchkey/dialect/internal/exchange"

func listParameters() []string {
	return []string{"status", "limit", "startingAfter", "endingBefore", "offset"}
}

func list(x *exchange.Exchange) error { return nil }
