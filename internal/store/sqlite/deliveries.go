package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast/internal/verify"
)

// moveDelivery and moveByReceipt are the updates by each event, guarded with the
// states in which verify lets it happen.
var moveDelivery, moveByReceipt = func() (plain, receipt map[verify.DeliveryEvent]query) {
	plain, receipt = map[verify.DeliveryEvent]query{}, map[verify.DeliveryEvent]query{}
	for _, event := range []verify.DeliveryEvent{
		verify.Accept, verify.Fail, verify.Lose, verify.ReceiptSent, verify.ReceiptArrived, verify.ReceiptFailed,
	} {
		var from []string
		for _, state := range event.From() {
			from = append(from, fmt.Sprintf("%d", state))
		}
		guard := "WHERE id = ? AND delivery IN (" + strings.Join(from, ", ") + ")"
		plain[event] = prepared(fmt.Sprintf(`UPDATE tracks SET delivery = %d %s`, event.To(), guard))
		receipt[event] = prepared(fmt.Sprintf(`UPDATE tracks SET delivery = %d, receipt_code = ?, receipt_at = ? %s`, event.To(), guard))
	}
	return plain, receipt
}()

// RecordReceipt moves the delivery by a receipt's event, where it moves it.
func (s *Store) RecordReceipt(ctx context.Context, id verify.ID, event verify.DeliveryEvent, code string, at time.Time) (changed bool, err error) {
	move, known := moveByReceipt[event]
	if !known {
		return false, fmt.Errorf("sqlite: no such event: %v", event)
	}
	err = s.write(ctx, func(db *conn) error {
		n, err := db.exec(move, optionalText(code), micros(at), int64(id))
		changed = n > 0
		if err != nil || changed {
			return err
		}
		found, err := db.one(trackExists, func(*row) {}, int64(id))
		if err == nil && !found {
			return verify.ErrNotFound
		}
		return err
	})
	return changed && err == nil, err
}
