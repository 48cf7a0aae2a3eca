curl -X POST "$VOKE/api/v1/partner/api-keys" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "string",
    "partnerId": "string",
    "scopes": [
      "plants:read",
      "telemetry:read"
    ]
  }'
