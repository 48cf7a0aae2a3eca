# The examples of Vertesia's document, with their line breaks put right. A test puts in
# the address, the credential and the id of the key that the second one makes.

# List API Keys
curl --location --request GET 'https://api.vertesia.io/api/v1/apikeys' \
--header 'Authorization: Bearer <YOUR_API_KEY>'

# Create API Key
curl --location --request POST 'https://api.vertesia.io/api/v1/apikeys' \
--header 'Authorization: Bearer <YOUR_API_KEY>' \
--header 'Content-Type: application/json' \
--data-raw '{
"name": "My API Key",
"type": "sk",
"role": "developer",
"expires_at": "2199-04-19T12:34:56.000Z"
}'

# Get API Key
curl --location --request GET 'https://api.vertesia.io/api/v1/apikeys/<API_KEY_ID>?withValue=true' \
--header 'Authorization: Bearer <YOUR_API_KEY>'

# Get API Key Token
curl --location --request GET 'https://api.vertesia.io/api/v1/apikeys/<API_KEY_ID>/token' \
--header 'Authorization: Bearer <YOUR_API_KEY>'

# Update API Key
curl --location --request PUT 'https://api.vertesia.io/api/v1/apikeys/<API_KEY_ID>' \
--header 'Authorization: Bearer <YOUR_API_KEY>' \
--header 'Content-Type: application/json' \
--data-raw '{
"name": "My Updated API Key",
"role": "admin",
"enabled": false,
"expires_at": "2025-04-19T12:34:56.000Z"
}'

# Delete API Key
curl --location --request DELETE 'https://api.vertesia.io/api/v1/apikeys/<API_KEY_ID>' \
--header 'Authorization: Bearer <YOUR_API_KEY>'
