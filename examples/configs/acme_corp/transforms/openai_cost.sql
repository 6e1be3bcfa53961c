-- OpenAI's costs report in FOCUS 1.4. One row of the report is one charge; usage rows carry no money
-- and stay in the raw table.
WITH charges AS (
  SELECT
    *,
    UPPER(amount_currency) AS currency,
    DATE_TRUNC(usage_date, MONTH) AS billing_month,
    quantity IS NOT NULL AND quantity > 0 AS has_quantity,
    CASE quantity_unit
      WHEN 'tokens' THEN 'Tokens'
      WHEN '1000_tokens' THEN '1000 Tokens'
      WHEN 'duration_seconds' THEN 'Seconds'
      WHEN 'duration_minutes' THEN 'Minutes'
      WHEN 'duration_hours' THEN 'Hours'
      WHEN 'gibibyte_hours' THEN 'GiB-Hours'
      WHEN 'images' THEN 'Images'
      WHEN 'characters' THEN 'Characters'
      ELSE quantity_unit
    END AS unit
  FROM acme_corp_raw_openai.usage_logs
  WHERE usage_date IN UNNEST(@scope)
    AND object = 'organization.costs.result'
)
SELECT
  amount_value AS BilledCost,
  _tenant_id AS BillingAccountId,
  currency AS BillingCurrency,
  TIMESTAMP(billing_month) AS BillingPeriodStart,
  TIMESTAMP(DATE_ADD(billing_month, INTERVAL 1 MONTH)) AS BillingPeriodEnd,
  IF(amount_value < 0, 'Credit', 'Usage') AS ChargeCategory,
  line_item AS ChargeDescription,
  'Usage-Based' AS ChargeFrequency,
  bucket_start AS ChargePeriodStart,
  bucket_end AS ChargePeriodEnd,
  IF(amount_value < 0, NULL, quantity) AS ConsumedQuantity,
  IF(amount_value < 0 OR quantity IS NULL, NULL, unit) AS ConsumedUnit,
  amount_value AS ContractedCost,
  IF(has_quantity, ROUND(amount_value / quantity, 18), NULL) AS ContractedUnitPrice,
  amount_value AS EffectiveCost,
  'OpenAI' AS HostProviderName,
  'OpenAI' AS InvoiceIssuerName,
  amount_value AS ListCost,
  IF(has_quantity, ROUND(amount_value / quantity, 18), NULL) AS ListUnitPrice,
  'Standard' AS PricingCategory,
  currency AS PricingCurrency,
  amount_value AS PricingCurrencyEffectiveCost,
  quantity AS PricingQuantity,
  IF(quantity IS NULL, NULL, unit) AS PricingUnit,
  'OpenAI' AS ProviderName,
  'OpenAI' AS PublisherName,
  'AI and Machine Learning' AS ServiceCategory,
  'OpenAI API' AS ServiceName,
  'OpenAI' AS ServiceProviderName,
  'Generative AI' AS ServiceSubcategory,
  LOWER(REGEXP_REPLACE(line_item, r'[^A-Za-z0-9]+', '-')) AS SkuId,
  line_item AS SkuMeter,
  project_id AS SubAccountId,
  project_id AS SubAccountName,
  IF(project_id IS NULL, NULL, 'Project') AS SubAccountType,
  IF(project_id IS NULL, NULL, JSON_OBJECT('project', project_id)) AS Tags,
  -- The last look at a day comes six days after its end (lookback 7d): later it is not restated here.
  IF(_ingested_at < TIMESTAMP_ADD(bucket_end, INTERVAL 6 DAY), 'provisional', 'final') AS x_CostStatus,
  api_key_id AS x_CredentialId,
  '1.4' AS x_FocusVersion,
  REGEXP_EXTRACT(line_item, r'^(.+), [^,]+$') AS x_Model,
  user_id AS x_PrincipalId,
  IF(has_quantity, 'ListUnitPrice=ContractedUnitPrice=ListCost/PricingQuantity', NULL) AS x_SourceChanges,
  'project_id,line_item,day' AS x_SourceGrain,
  _source AS x_SourceObject
FROM charges
