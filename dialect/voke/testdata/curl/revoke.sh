curl -X DELETE "$VOKE/api/v1/partner/api-keys/$ID" \
  -H "Authorization: Bearer $TOKEN"
