curl -X GET "$VOKE/api/v1/partner/api-keys" \
  -H "Authorization: Bearer $TOKEN"
