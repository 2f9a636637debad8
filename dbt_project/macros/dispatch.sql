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

{#- Spark prunes partitions by constants alone, so there the values are written out; the days are
rows of `days`, from which `value` is made. -#}
{% macro among(column, named, value, days) -%}
    {{ return(adapter.dispatch('among', 'governance')(column, named, value, ref(days))) }}
{%- endmacro %}

{% macro default__among(column, named, value, days) -%}
    {{ column }} in (select {{ value }} from {{ days }} as days)
{%- endmacro %}

{% macro spark__among(column, named, value, days) -%}
    {%- if '-' in named -%}
        {{ column }} in (date '{{ named.split() | join("', date '") }}')
    {%- elif named.split() -%}
        {{ column }} in ({{ named.split() | join(', ') }})
    {%- else -%}
        {{ default__among(column, named, value, days) }}
    {%- endif -%}
{%- endmacro %}

{#- Spark forgets the names of partitions; the engine removes the files of those that stay away. -#}
{% macro forget(column, named, is_recomputed) -%}
    {{ return(adapter.dispatch('forget', 'governance')(column, named, is_recomputed)) }}
{%- endmacro %}

{% macro default__forget(column, named, is_recomputed) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ is_recomputed }}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{% macro spark__forget(column, named, is_recomputed) -%}
    {%- if is_incremental() and named.split() -%}
        alter table {{ this }} drop if exists
        {%- for value in named.split() %}
            partition ({{ column }} = '{{ value }}'){{ ',' if not loop.last }}
        {%- endfor -%}
    {%- else -%}
        select 1
    {%- endif -%}
{%- endmacro %}

{#- A view, where who asks can read the lake too; what Spark built is read without Spark. For what
is small, or asked for once a day, so that its cost does not grow with how often it is built. -#}
{% macro computed_when_read() -%}
    {{ config(materialized='table' if target.type == 'spark' else 'view') }}
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
