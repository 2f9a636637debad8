{#- What DuckDB and Spark write differently; nothing else in the project may.

docs/decisions/one-sql-for-two-engines.md says why each is here. -#}

{% macro days_between(first, last) -%}
    {{ return(adapter.dispatch('days_between', 'governance')(first, last)) }}
{%- endmacro %}

{% macro default__days_between(first, last) -%}
    datediff('day', {{ first }}, {{ last }})
{%- endmacro %}

{% macro spark__days_between(first, last) -%}
    cast(datediff({{ last }}, {{ first }}) as bigint)
{%- endmacro %}

{#- A sum of fractions that does not depend on the order of its terms. -#}
{% macro exact_sum(expression) -%}
    cast(sum(cast({{ expression }} as decimal(38, 9))) as double)
{%- endmacro %}

{#- Spark prunes partitions by constants alone, so there the days are written out, as the engine
names them. Never while parsing: a variable that changes costs a new parse. -#}
{% macro default__in_decision_days(column) -%}
    {{ column }} in (select days.day from {{ ref('stg_build_days') }} as days)
{%- endmacro %}

{% macro spark__in_decision_days(column) -%}
    {%- set as_rows = default__in_decision_days(column) -%}
    {%- set days = env_var('GOVERNANCE_DECISION_DAYS', '').split() if execute else [] -%}
    {{ column ~ " in (date '" ~ days | join("', date '") ~ "')" if days else as_rows }}
{%- endmacro %}

{% macro default__in_decision_months(column) -%}
    {{ column }} in (
        select cast(date_trunc('month', days.day) as date) from {{ ref('stg_build_days') }} as days
    )
{%- endmacro %}

{% macro spark__in_decision_months(column) -%}
    {%- set as_rows = default__in_decision_months(column) -%}
    {%- set days = env_var('GOVERNANCE_DECISION_DAYS', '').split() if execute else [] -%}
    {%- set months = [] -%}
    {%- for day in days -%}{%- do months.append(day[:7] ~ '-01') -%}{%- endfor -%}
    {%- set months = months | unique | join("', date '") -%}
    {{ column ~ " in (date '" ~ months ~ "')" if months else as_rows }}
{%- endmacro %}

{% macro default__forget(is_recomputed) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ is_recomputed }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{#- Files do not forget rows: the engine removes the partitions of the days before dbt runs. -#}
{% macro spark__forget(is_recomputed) -%}
    select 1
{%- endmacro %}

{#- What a contract's types are called on Spark. -#}
{% macro spark__get_empty_schema_sql(columns) %}
    {%- set called = {'varchar': 'string', 'timestamp': 'timestamp_ntz'} -%}
    select
    {% for column in columns.values() %}
        cast(null as {{ called.get(column.data_type, column.data_type) }}) as {{ column.name }}
        {{- ',' if not loop.last }}
    {% endfor %}
{% endmacro %}
