BASE={base}
JSON='Content-Type: application/json'
COOKIES=$(mktemp)

echo '1. The business logs in.'
TOKEN=$(curl -sS "$BASE/api/customers/login" -H "$JSON" \
  -d '{"username":"demo","password":"demo-password"}' | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')

echo '2. A phone is on mobile data with its own SIM. Try other-sim or wifi as well.'
curl -sS -X PUT "$BASE/phone/network" -H "$JSON" -d '{"number":"+12125550123","network":"cellular"}'
newest() { curl -sS "$BASE/phone/messages?number=+12125550123" | grep -o 'https*://[^" ]*/l/[A-Za-z0-9_-]*' | head -n 1; }
OLD=$(newest)

echo '3. The business has a link sent to that phone.'
curl -sS "$BASE/api/v3/us-kyc/send-link" -H "$JSON" -H "Authorization: $TOKEN" \
  -d '{"targetUrl":"{base}/demo/return","mobileNumber":"2125550123","countryCode":"US"}'

echo '4. The SMS arrives.'
until LINK=$(newest); [ "$LINK" != "$OLD" ]; do sleep 0.2; done
echo "$LINK"

echo '5. The phone opens the link, which changes nothing, and taps Continue: off to the'
echo '   carrier, back, and on to the page of the business, which gets the fingerprint.'
curl -sS -o /dev/null -c "$COOKIES" -b "$COOKIES" "$LINK"
VFP=$(curl -sS -o /dev/null -L -c "$COOKIES" -b "$COOKIES" -d without=1 -w '%{url_effective}' "$LINK" \
  | sed -n 's/.*[?&]vfp=\([A-Za-z0-9_-]*\).*/\1/p')
rm -f "$COOKIES"

echo '6. The business redeems it for the result.'
curl -sS "$BASE/api/v3/us-kyc/link-result" -H "$JSON" -H "Authorization: $TOKEN" -d "{\"vfp\":\"$VFP\"}"
